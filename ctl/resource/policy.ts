/**
 * `get policies`: the NetworkPolicies, as the policies of Calico's v1 API that say the same. A
 * translation for the eye: what is enforced comes from the NetworkPolicy itself.
 */

import {
  type Direction,
  DIRECTIONS,
  type NetworkPolicy,
  type NetworkPolicyPeer,
  type PolicyPort,
  type PolicyRule,
} from "../../lib/model/policy.ts";
import { formatCalicoSelector } from "./calico_selector.ts";
import { type Item, scopesOfNamespaced, sortBy, type View, withoutEmpty } from "./view.ts";

/** All have the same order: there is none among NetworkPolicies. */
const ORDER = 1000;

const WIDE = ["NAME", "ORDER", "SELECTOR"];

export const policyView: View = {
  kind: "policy",
  words: ["policies", "policy", "pols", "pol", "networkpolicies", "networkpolicy", "netpol", "np"],
  namespaced: true,
  onNodes: false,
  columns: { ps: ["NAME"], wide: WIDE, all: WIDE },
  scopesOf: scopesOfNamespaced,
  list: async (reader, query) =>
    sortBy(await reader.policies(query), (it) => `${it.namespace}\0${it.name}`).map(itemOf),
};

function itemOf(policy: NetworkPolicy): Item {
  const name = `${policy.namespace}.${policy.name}`;
  const selector = formatCalicoSelector(policy.namespace, policy.podSelector);
  const governed = DIRECTIONS.filter((it) => policy[it] !== undefined);
  return {
    names: [name, `${policy.namespace}/${policy.name}`, policy.name],
    labels: {},
    cells: { NAME: name, ORDER: String(ORDER), SELECTOR: selector },
    resource: {
      apiVersion: "v1",
      kind: "policy",
      metadata: { name },
      spec: {
        order: ORDER,
        selector,
        types: governed,
        ...Object.fromEntries(governed.map((it) => [it, rulesOf(policy, it)])),
      },
    },
  };
}

function rulesOf(policy: NetworkPolicy, direction: Direction): Record<string, unknown>[] {
  return (policy[direction] ?? []).flatMap((rule) => expandRule(policy, direction, rule));
}

/** One rule for each pair of a peer and a protocol. */
function expandRule(
  policy: NetworkPolicy,
  direction: Direction,
  rule: PolicyRule,
): Record<string, unknown>[] {
  const peers = rule.peers?.map((it) => entityOf(policy, it)) ?? [{}];
  return peers.flatMap((peer) =>
    groupPorts(rule.ports).map(({ protocol, ports }) =>
      withoutEmpty({
        action: "allow",
        protocol,
        source: direction === "ingress" ? peer : {},
        destination: { ...(direction === "egress" ? peer : {}), ...withoutEmpty({ ports }) },
      })
    )
  );
}

function entityOf(policy: NetworkPolicy, peer: NetworkPolicyPeer): Record<string, unknown> {
  if (peer.kind === "addresses") {
    return withoutEmpty({ net: peer.cidr.toString(), notNets: peer.except.map(String) });
  }
  const namespace = peer.namespaceSelector ?? policy.namespace;
  return { selector: formatCalicoSelector(namespace, peer.podSelector) };
}

interface PortGroup {
  readonly protocol?: string;
  readonly ports: readonly (number | string)[];
}

/** Ports by protocol; a port of no number stands for all of its protocol's. */
function groupPorts(ports: readonly PolicyPort[] | undefined): readonly PortGroup[] {
  if (ports === undefined) return [{ ports: [] }];
  const groups = new Map<string, { every: boolean; ports: (number | string)[] }>();
  for (const { protocol, port } of ports) {
    const group = groups.get(protocol) ?? { every: false, ports: [] };
    groups.set(protocol, group);
    if (port === undefined) group.every = true;
    else group.ports.push(formatPort(port));
  }
  return [...groups].map(([protocol, group]) => ({
    protocol: protocol.toLowerCase(),
    ports: group.every ? [] : group.ports,
  }));
}

function formatPort(port: NonNullable<PolicyPort["port"]>): number | string {
  if (typeof port === "string") return port;
  return port.first === port.last ? port.first : `${port.first}:${port.last}`;
}
