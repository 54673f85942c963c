/** One direction of one policy, of whatever tier → its rules and the sets that they name. */

import type { DesiredPolicy, DesiredPort, DesiredRule, RangeSet } from "../model/desired.ts";
import type {
  ClusterNetworkPolicy,
  Direction,
  NetworkPolicy,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  PortRange,
  Tier,
} from "../model/policy.ts";
import { keyOf, type Protocol } from "../model/workload.ts";
import { type PodSelection, rulesOf, selectionOf } from "./select.ts";
import { namedPortSetSpec, nodeSetSpec, podSetSpec, rangeSetOf, type SetSpec } from "./set_spec.ts";

/** A compiled policy and what it needs. */
export interface CompiledPolicy {
  readonly policy: DesiredPolicy;
  readonly specs: readonly SetSpec[];
  readonly rangeSets: readonly RangeSet[];
}

/** Either kind of policy. */
export type AnyPolicy = NetworkPolicy | ClusterNetworkPolicy;

/** The id of one direction of a policy. */
export function policyIdOf(policy: AnyPolicy, direction: Direction): string {
  return `${tierOf(policy)}-${direction}/${nameOf(policy)}`;
}

/** The tier that a policy is asked in. */
export function tierOf(policy: AnyPolicy): Tier {
  return "tier" in policy ? policy.tier : "namespaced";
}

function nameOf(policy: AnyPolicy): string {
  return "tier" in policy ? policy.name : keyOf(policy);
}

/** Compiles the rules of `direction`. */
export function compilePolicy(policy: AnyPolicy, direction: Direction): CompiledPolicy {
  const specs = new Map<string, SetSpec>();
  const rangeSets = new Map<string, RangeSet>();
  const namespace = "tier" in policy ? undefined : policy.namespace;
  const destinations = destinationsOf(namespace, direction);
  const rules = rulesOf(policy, direction).map((rule, index): DesiredRule => ({
    index,
    action: rule.action,
    peers: compilePeers(rule, namespace, specs, rangeSets),
    ports: rule.ports === undefined ? undefined : compilePorts(rule.ports, destinations, specs),
  }));
  return {
    policy: {
      id: policyIdOf(policy, direction),
      direction,
      tier: tierOf(policy),
      name: nameOf(policy),
      rules,
    },
    specs: [...specs.values()],
    rangeSets: [...rangeSets.values()],
  };
}

function compilePeers(
  rule: PolicyRule<PolicyPeer>,
  namespace: string | undefined,
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
    const spec = peer.kind === "nodes"
      ? nodeSetSpec(peer.selector)
      : podSetSpec(selectionOf(peer, namespace));
    specs.set(spec.id, spec);
    return spec.id;
  });
  return [...new Set(ids)];
}

/**
 * Which pods a named port can be on: for ingress the policy's own namespace, for egress any pod; the
 * peer's set narrows it further in the same rule.
 */
function destinationsOf(namespace: string | undefined, direction: Direction): PodSelection {
  return {
    namespace: direction === "ingress" ? namespace : undefined,
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
