/**
 * The evaluator: what becomes of a flow, and who decided. It asks the same questions of the same
 * functions (`select.ts`) as the kernel program's compiler, one flow at a time and with reasons.
 */

import type { Address } from "../ip/address.ts";
import { rangesContain } from "../ip/range.ts";
import { matchesLabels } from "../model/labels.ts";
import {
  type ClusterNetworkPolicy,
  type ClusterPolicyRule,
  type Direction,
  type NetworkPolicy,
  type PolicyPeer,
  type PolicyPort,
  type RuleAction,
  type Tier,
} from "../model/policy.ts";
import { keyOf, type Protocol, type Workload } from "../model/workload.ts";
import { type Cluster, type ClusterIndex, indexOf } from "./cluster_index.ts";
import { concerns, governs, isPolicySubject, rulesOf, selectionOf, selects } from "./select.ts";
import { rangesOf } from "./set_spec.ts";

export type { Cluster, ClusterIndex };

/** One end of a flow: its address, and the pod behind it where there is one. */
export interface FlowEnd {
  readonly address: Address;
  /** Not a pod on its host's network: that one is its node. */
  readonly workload: Workload | undefined;
}

/** The first packet of a flow, as policy sees it: after service translation, before source NAT. */
export interface Flow {
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  /** `undefined`: none of the three, ICMP for one; only rules without ports match it. */
  readonly protocol: Protocol | undefined;
  readonly port: number | undefined;
}

/** The rule that decided; `rule` and `peer` count from 0, `peer` is undefined for "every one". */
export interface DecidingRule {
  readonly tier: Tier;
  /** `namespace/name`, or `name` for a policy of the whole cluster. */
  readonly policy: string;
  readonly rule: number;
  /** The rule's own name, where it has one. */
  readonly ruleName: string;
  readonly peer: number | undefined;
}

/** Why a direction's verdict is what it is. */
export type Reason =
  /** The end is no pod, so nothing governs it. */
  | { readonly kind: "notAPod" }
  /** The pod's own node always reaches it, and no NetworkPolicy keeps the pod from that node. */
  | { readonly kind: "ownNode"; readonly node: string }
  /** NetworkPolicies govern the pod, and none keeps it from itself. */
  | { readonly kind: "itself" }
  /** No policy selects the pod in this direction, or those that do leave the flow alone. */
  | { readonly kind: "notSelected" }
  | { readonly kind: "allowedBy" } & DecidingRule
  | { readonly kind: "deniedBy" } & DecidingRule
  /** These policies select the pod, and none of their rules allows it. */
  | { readonly kind: "notAllowed"; readonly policies: readonly string[] };

/** The verdict of one direction. */
export interface DirectionVerdict {
  readonly allowed: boolean;
  readonly reason: Reason;
}

/** The verdict on a flow: both directions must allow it. */
export interface Verdict {
  readonly allowed: boolean;
  readonly egress: DirectionVerdict;
  readonly ingress: DirectionVerdict;
}

/** Evaluates `flow` against the policies of `cluster`. */
export function evaluate(cluster: Cluster, flow: Flow): Verdict {
  return evaluateFlow(indexOf(cluster), flow);
}

/** Evaluates `flow` against the policies that `index` finds. */
export function evaluateFlow(index: ClusterIndex, flow: Flow): Verdict {
  const egress = evaluateDirection(index, flow, "egress");
  const ingress = evaluateDirection(index, flow, "ingress");
  return { allowed: egress.allowed && ingress.allowed, egress, ingress };
}

/**
 * The end of a flow at `address`: the pod that holds it now, if any. A finished pod's address may be
 * another's; a pod on the host's network is its node.
 */
export function resolveEnd(cluster: Cluster, address: Address): FlowEnd {
  return { address, workload: indexOf(cluster).podAt(address.toString()) };
}

/**
 * What the pod's side says of `flow` in one direction: egress asks the source, ingress the destination.
 *
 * The pod's own node always reaches it: the kubelet's probes come from there, and a
 * ClusterNetworkPolicy has no ingress peer that means a node. What the pod sends to its own node, and
 * to itself by way of a Service, only NetworkPolicies leave alone: see {@link exemptionOf}.
 */
export function evaluateDirection(
  index: ClusterIndex,
  flow: Flow,
  direction: Direction,
): DirectionVerdict {
  const [own, other] = direction === "ingress"
    ? [flow.destination, flow.source]
    : [flow.source, flow.destination];
  const { workload } = own;
  if (workload === undefined || !isPolicySubject(workload)) return allow({ kind: "notAPod" });
  if (direction === "ingress" && isOwnNode(index, workload, other)) {
    return allow({ kind: "ownNode", node: workload.nodeName });
  }
  return askTier(index, flow, direction, workload, "admin") ??
    askPolicies(index, flow, direction, workload) ??
    askTier(index, flow, direction, workload, "baseline") ??
    allow({ kind: "notSelected" });
}

function allow(reason: Reason): DirectionVerdict {
  return { allowed: true, reason };
}

/** @returns `undefined` when the tier leaves the flow to the next one */
function askTier(
  index: ClusterIndex,
  flow: Flow,
  direction: Direction,
  workload: Workload,
  tier: "admin" | "baseline",
): DirectionVerdict | undefined {
  const labels = index.namespace(workload.namespace)?.labels;
  for (const policy of index.clusterPoliciesOf(tier)) {
    if (!concerns(policy, workload, labels, direction)) continue;
    const match = findRule(index, flow, direction, policy);
    if (match === undefined) continue;
    if (match.action === "pass") return undefined;
    const reason = { ...match.by, tier, policy: policy.name };
    return match.action === "accept"
      ? allow({ kind: "allowedBy", ...reason })
      : { allowed: false, reason: { kind: "deniedBy", ...reason } };
  }
  return undefined;
}

/** @returns `undefined` when no NetworkPolicy governs the pod */
function askPolicies(
  index: ClusterIndex,
  flow: Flow,
  direction: Direction,
  workload: Workload,
): DirectionVerdict | undefined {
  const governing = [...index.policiesOf(workload.namespace)]
    .filter((policy) => governs(policy, workload, direction))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (governing.length === 0) return undefined;
  const other = direction === "ingress" ? flow.source : flow.destination;
  const exemption = exemptionOf(index, workload, other);
  if (exemption !== undefined) return allow(exemption);
  for (const policy of governing) {
    const match = findRule(index, flow, direction, policy);
    if (match === undefined) continue;
    return allow({ kind: "allowedBy", ...match.by, tier: "namespaced", policy: keyOf(policy) });
  }
  return { allowed: false, reason: { kind: "notAllowed", policies: governing.map(keyOf) } };
}

interface RuleMatch {
  readonly action: RuleAction;
  readonly by: Pick<DecidingRule, "rule" | "ruleName" | "peer">;
}

/** The first rule of the policy that matches. */
function findRule(
  index: ClusterIndex,
  flow: Flow,
  direction: Direction,
  policy: NetworkPolicy | ClusterNetworkPolicy,
): RuleMatch | undefined {
  const other = direction === "ingress" ? flow.source : flow.destination;
  const namespace = "namespace" in policy ? policy.namespace : undefined;
  for (const [rule, it] of rulesOf(policy, direction).entries()) {
    if (!matchesPorts(it, flow)) continue;
    const peer = findPeer(index, namespace, it, other);
    if (peer === undefined) continue;
    const by = { rule, ruleName: it.name, peer: peer === "every" ? undefined : peer };
    return { action: it.action, by };
  }
  return undefined;
}

/**
 * Why no NetworkPolicy keeps the pod and `other` apart, if none can: "a pod cannot block access to
 * itself", and "traffic to and from the node where a Pod is running is always allowed" (Kubernetes'
 * documentation of Network Policies). The tiers of ClusterNetworkPolicy are asked about both: its
 * conformance tests expect a pod to be kept from its own node (CNPAdminTierEgressNodePeers), and from
 * itself where a Service leads it there (CNPAdminTierHairpin).
 */
function exemptionOf(index: ClusterIndex, workload: Workload, other: FlowEnd): Reason | undefined {
  if (isOwnNode(index, workload, other)) return { kind: "ownNode", node: workload.nodeName };
  const isItself = other.workload !== undefined && keyOf(other.workload) === keyOf(workload);
  return isItself ? { kind: "itself" } : undefined;
}

/** By address alone, as in the kernel: also if a pod of another node claims the address. */
function isOwnNode(index: ClusterIndex, workload: Workload, other: FlowEnd): boolean {
  const text = other.address.toString();
  return index.node(workload.nodeName)?.addresses.some((it) => it.toString() === text) ?? false;
}

/** The index of the first peer that matches, "every" for a rule without peers, `undefined` for none. */
function findPeer(
  index: ClusterIndex,
  namespace: string | undefined,
  rule: ClusterPolicyRule,
  other: FlowEnd,
): number | "every" | undefined {
  if (rule.peers === undefined) return "every";
  const found = rule.peers.findIndex((peer) => matchesPeer(index, namespace, peer, other));
  return found < 0 ? undefined : found;
}

function matchesPeer(
  index: ClusterIndex,
  policyNamespace: string | undefined,
  peer: PolicyPeer,
  other: FlowEnd,
): boolean {
  switch (peer.kind) {
    case "addresses":
      return other.address.family === peer.cidr.address.family &&
        rangesContain(rangesOf(peer), other.address.value);
    case "nodes": {
      const text = other.address.toString();
      return [...index.nodes()].some((node) =>
        matchesLabels(peer.selector, node.labels) &&
        node.addresses.some((it) => it.toString() === text)
      );
    }
    case "pods": {
      const { workload } = other;
      if (workload === undefined) return false;
      const namespace = index.namespace(workload.namespace);
      return selects(selectionOf(peer, policyNamespace), workload, namespace?.labels);
    }
  }
}

function matchesPorts(rule: ClusterPolicyRule, flow: Flow): boolean {
  return rule.ports === undefined || rule.ports.some((port) => matchesPort(port, flow));
}

function matchesPort(port: PolicyPort, flow: Flow): boolean {
  if (port.protocol !== flow.protocol) return false;
  if (port.port === undefined) return true;
  if (flow.port === undefined) return false;
  if (typeof port.port !== "string") {
    return flow.port >= port.port.first && flow.port <= port.port.last;
  }
  return flow.destination.workload?.ports.some((it) =>
    it.name === port.port && it.protocol === port.protocol && it.port === flow.port
  ) ?? false;
}
