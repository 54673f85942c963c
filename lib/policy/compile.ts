/** One direction of one policy, of whatever tier → its rules and the sets that they name. */

import { FAMILIES } from "../ip/address.ts";
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
import {
  type NamedPortName,
  namedPortSetSpec,
  peerSetSpec,
  rangeSetOf,
  type SelectedPeer,
  type SetSpec,
} from "./set_spec.ts";

/** A compiled policy and what it needs. */
export interface CompiledPolicy {
  readonly policy: DesiredPolicy;
  readonly specs: readonly SetSpec[];
  readonly rangeSets: readonly RangeSet[];
}

/** Either kind of policy. */
export type AnyPolicy = NetworkPolicy | ClusterNetworkPolicy;

/** The id of one direction of a policy. */
function policyIdOf(policy: AnyPolicy, direction: Direction): string {
  return `${tierOf(policy)}-${direction}/${nameOf(policy)}`;
}

/** The tier of a policy; NetworkPolicies are between Admin and Baseline. */
function tierOf(policy: AnyPolicy): Tier {
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
  const sets: Sets = { specs, rangeSets };
  const rules = rulesOf(policy, direction).map((rule, index): DesiredRule => {
    const merges = mergesSets(rule);
    return {
      index,
      action: rule.action,
      peers: rule.peers && compilePeers(rule.peers, namespace, sets, merges),
      ports: rule.ports && compilePorts(rule.ports, destinations, sets, merges),
    };
  });
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

/**
 * Each peer with each port becomes a rule of the kernel's. Up to so many a rule's peers have sets of
 * their own, which other rules that name the same peer share. Beyond, its peers are put together into
 * one set of each kind, and its named ports too: then its size does not depend on their number, in the
 * kernel and on a packet's way.
 */
const MATCHES_MAX = 4;

function mergesSets({ peers, ports }: PolicyRule<PolicyPeer>): boolean {
  return (peers?.length ?? 1) * (ports?.length ?? 1) > MATCHES_MAX;
}

/** Takes the sets that rules name. */
interface Sets {
  readonly specs: Map<string, SetSpec>;
  readonly rangeSets: Map<string, RangeSet>;
}

function compilePeers(
  peers: readonly PolicyPeer[],
  namespace: string | undefined,
  { specs, rangeSets }: Sets,
  merges: boolean,
): readonly string[] {
  const ids = new Set<string>();
  const selected = peers.flatMap((peer): readonly SelectedPeer[] => {
    if (peer.kind === "nodes") return [{ kind: "nodes", selector: peer.selector }];
    return peer.kind === "pods" ? [{ kind: "pods", selection: selectionOf(peer, namespace) }] : [];
  });
  for (const group of merges ? [selected] : selected.map((it) => [it])) {
    if (group.length === 0) continue;
    const spec = peerSetSpec(group);
    specs.set(spec.id, spec);
    ids.add(spec.id);
  }
  for (const family of FAMILIES) {
    const blocks = peers.filter((it) => it.kind === "addresses")
      .filter((it) => it.cidr.address.family === family);
    for (const group of merges ? [blocks] : blocks.map((it) => [it])) {
      if (group.length === 0) continue;
      const set = rangeSetOf(family, group);
      rangeSets.set(set.id, set);
      ids.add(set.id);
    }
  }
  return [...ids];
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
  { specs }: Sets,
  merges: boolean,
): readonly DesiredPort[] {
  const numbers = new Map<Protocol, PortRange[] | undefined>();
  const names = new Map<string, NamedPortName>();
  for (const { protocol, port } of ports) {
    if (typeof port === "string") {
      names.set(`${port}/${protocol}`, { name: port, protocol });
    } else if (port === undefined) {
      numbers.set(protocol, undefined);
    } else if (!numbers.has(protocol)) {
      numbers.set(protocol, [port]);
    } else {
      numbers.get(protocol)?.push(port); // undefined already means every port
    }
  }
  const all = [...names.values()];
  const groups = merges ? [all] : all.map((it) => [it]);
  const named = groups.filter((it) => it.length > 0).map((group): DesiredPort => {
    const spec = namedPortSetSpec(destinations, group);
    specs.set(spec.id, spec);
    return { kind: "named", set: spec.id };
  });
  return [
    ...[...numbers].map(([protocol, ranges]): DesiredPort => ({
      kind: "numbers",
      protocol,
      ranges: ranges === undefined ? undefined : mergePorts(ranges),
    })),
    ...named,
  ];
}

/** Sorts port ranges and joins those that overlap or touch. */
function mergePorts(ranges: readonly PortRange[]): readonly PortRange[] {
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
