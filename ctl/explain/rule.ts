/** A policy's rules as sentences. Pure. */

import { formatSelector } from "../../lib/model/labels.ts";
import type {
  ClusterPolicyRule,
  Direction,
  PodPeer,
  PolicyPeer,
  PolicyPort,
} from "../../lib/model/policy.ts";
import type { AnyPolicy } from "../../lib/policy/compile.ts";

/** One rule: `from pods app=web of namespace shop, on TCP 80`. */
export function formatRule(
  policy: AnyPolicy,
  direction: Direction,
  rule: ClusterPolicyRule,
): string {
  const preposition = direction === "ingress" ? "from" : "to";
  return `${preposition} ${formatPeers(policy, rule.peers)}, on ${formatPorts(rule.ports)}`;
}

/** What a rule does, for rules that do not simply allow: `denies `. */
export function formatAction({ action, name }: ClusterPolicyRule): string {
  const title = name === "" ? "" : `${JSON.stringify(name)} `;
  return action === "accept" ? title : `${title}${action === "deny" ? "denies " : "passes "}`;
}

/** One peer: `pods app=web of namespaces team=a`, or `10.0.0.0/8 except 10.1.0.0/16`. */
function formatPeer(policy: AnyPolicy, peer: PolicyPeer): string {
  if (peer.kind === "pods") return formatPods(policy, peer);
  if (peer.kind === "nodes") {
    return peer.selector.length === 0 ? "all nodes" : `nodes ${formatSelector(peer.selector)}`;
  }
  const { cidr, except } = peer;
  return except.length === 0 ? `${cidr}` : `${cidr} except ${except.join(" and ")}`;
}

/** Where a rule, or a peer in it, stands in the policy's own document. */
export function formatPath(direction: Direction, rule: number, peer?: number): string {
  const path = `spec.${direction}[${rule}]`;
  if (peer === undefined) return path;
  return `${path}.${direction === "ingress" ? "from" : "to"}[${peer}]`;
}

function formatPeers(policy: AnyPolicy, peers: ClusterPolicyRule["peers"]): string {
  if (peers === undefined) return "everywhere";
  if (peers.length === 0) return "nowhere";
  return peers.map((it) => formatPeer(policy, it)).join(" or ");
}

function formatPods(policy: AnyPolicy, { podSelector, namespaceSelector }: PodPeer): string {
  const pods = podSelector.length === 0 ? "all pods" : `pods ${formatSelector(podSelector)}`;
  if (namespaceSelector === undefined) {
    return "namespace" in policy ? `${pods} of namespace ${policy.namespace}` : pods;
  }
  if (namespaceSelector.length === 0) return `${pods} of every namespace`;
  return `${pods} of namespaces ${formatSelector(namespaceSelector)}`;
}

function formatPorts(ports: readonly PolicyPort[] | undefined): string {
  if (ports === undefined) return "every port";
  if (ports.length === 0) return "no port";
  return ports.map(formatPort).join(" or ");
}

function formatPort({ protocol, port }: PolicyPort): string {
  if (port === undefined) return `every ${protocol} port`;
  if (typeof port === "string") return `${protocol} "${port}"`;
  return `${protocol} ${port.first === port.last ? port.first : `${port.first}-${port.last}`}`;
}
