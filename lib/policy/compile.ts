/** One direction of one NetworkPolicy → its rules and the sets that they name. */

import type { DesiredPolicy, DesiredPort, DesiredRule, RangeSet } from "../model/desired.ts";
import type {
  Direction,
  NetworkPolicy,
  PolicyPort,
  PolicyRule,
  PortRange,
} from "../model/policy.ts";
import type { Protocol } from "../model/workload.ts";
import { type PodSelection, rulesOf, selectionOf } from "./select.ts";
import { namedPortSetSpec, podSetSpec, rangeSetOf, type SetSpec } from "./set_spec.ts";

/** A compiled policy and what it needs. */
export interface CompiledPolicy {
  readonly policy: DesiredPolicy;
  readonly specs: readonly SetSpec[];
  readonly rangeSets: readonly RangeSet[];
}

/** The id of one direction of a policy. */
export function policyIdOf(policy: NetworkPolicy, direction: Direction): string {
  return `${direction}/${policy.namespace}/${policy.name}`;
}

/** Compiles the rules of `direction`. */
export function compilePolicy(policy: NetworkPolicy, direction: Direction): CompiledPolicy {
  const specs = new Map<string, SetSpec>();
  const rangeSets = new Map<string, RangeSet>();
  const destinations = destinationsOf(policy, direction);
  const rules = rulesOf(policy, direction).map((rule, index): DesiredRule => ({
    index,
    peers: compilePeers(rule, policy.namespace, specs, rangeSets),
    ports: rule.ports === undefined ? undefined : compilePorts(rule.ports, destinations, specs),
  }));
  return {
    policy: {
      id: policyIdOf(policy, direction),
      direction,
      namespace: policy.namespace,
      name: policy.name,
      rules,
    },
    specs: [...specs.values()],
    rangeSets: [...rangeSets.values()],
  };
}

function compilePeers(
  rule: PolicyRule,
  namespace: string,
  specs: Map<string, SetSpec>,
  rangeSets: Map<string, RangeSet>,
): readonly string[] | undefined {
  if (rule.peers === undefined) return undefined;
  const ids = rule.peers.map((peer) => {
    if (peer.kind === "addresses") {
      const set = rangeSetOf(peer);
      rangeSets.set(set.id, set);
      return set.id;
    }
    const spec = podSetSpec(selectionOf(peer, namespace));
    specs.set(spec.id, spec);
    return spec.id;
  });
  return [...new Set(ids)];
}

/**
 * Which pods a named port can be on: for ingress the policy's own namespace, for egress any pod; the
 * peer's set narrows it further in the same rule.
 */
function destinationsOf(policy: NetworkPolicy, direction: Direction): PodSelection {
  return {
    namespace: direction === "ingress" ? policy.namespace : undefined,
    namespaceSelector: [],
    podSelector: [],
  };
}

function compilePorts(
  ports: readonly PolicyPort[],
  destinations: PodSelection,
  specs: Map<string, SetSpec>,
): readonly DesiredPort[] {
  const numbers = new Map<Protocol, PortRange[] | undefined>();
  const named = new Set<string>();
  for (const { protocol, port } of ports) {
    if (typeof port === "string") {
      const spec = namedPortSetSpec(destinations, port, protocol);
      specs.set(spec.id, spec);
      named.add(spec.id);
    } else if (port === undefined) {
      numbers.set(protocol, undefined);
    } else if (!numbers.has(protocol)) {
      numbers.set(protocol, [port]);
    } else {
      numbers.get(protocol)?.push(port); // undefined already means every port
    }
  }
  return [
    ...[...numbers].map(([protocol, ranges]): DesiredPort => ({
      kind: "numbers",
      protocol,
      ranges: ranges === undefined ? undefined : mergePorts(ranges),
    })),
    ...[...named].map((set): DesiredPort => ({ kind: "named", set })),
  ];
}

/** Sorts port ranges and joins those that overlap or touch. */
export function mergePorts(ranges: readonly PortRange[]): readonly PortRange[] {
  const merged: { first: number; last: number }[] = [];
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first)) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous.last + 1) {
      previous.last = Math.max(previous.last, last);
    } else {
      merged.push({ first, last });
    }
  }
  return merged;
}
