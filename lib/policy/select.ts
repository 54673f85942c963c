/**
 * Who is selected: the one place that says which pods a policy governs and which pods a peer means.
 * The kernel program and `evaluateFlow()` both ask here. Follows NetworkPolicy of `networking.k8s.io/v1`
 * and ClusterNetworkPolicy of `policy.networking.k8s.io` (`v1beta1`, `v1alpha2`).
 */

import { type Labels, type LabelSelector, matchesLabels } from "../model/labels.ts";
import type { Namespace } from "../model/namespace.ts";
import type {
  ClusterNetworkPolicy,
  ClusterPolicyRule,
  Direction,
  NetworkPolicy,
  PodPeer,
} from "../model/policy.ts";
import { keyOf, type Workload } from "../model/workload.ts";

/** Pods by namespace and labels; `namespace` and `namespaceSelector` exclude each other. */
export interface PodSelection {
  /** Only this namespace; `undefined`: those that `namespaceSelector` selects. */
  readonly namespace: string | undefined;
  readonly namespaceSelector: LabelSelector;
  readonly podSelector: LabelSelector;
}

/**
 * Whether policies can select the pod, as subject or as peer. They cannot if it is on the host's network
 * (it shares its node's address) or finished (another pod may have its addresses already).
 */
export function isPolicySubject(workload: Workload): boolean {
  return !workload.hostNetwork && !workload.finished;
}

/**
 * Compares two pods that claim one address: negative if `a` holds it. The newer one does: the older
 * one's sandbox is gone, and its status is not updated yet.
 */
export function compareHolders(a: Workload, b: Workload): number {
  const [older, newer] = [a.createdAt ?? "", b.createdAt ?? ""];
  if (older !== newer) return older > newer ? -1 : 1;
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** Whether `policy` governs `workload` in `direction`. */
export function governs(
  policy: NetworkPolicy,
  workload: Workload,
  direction: Direction,
): boolean {
  return policy[direction] !== undefined && policy.namespace === workload.namespace &&
    isPolicySubject(workload) && matchesLabels(policy.podSelector, workload.labels);
}

/** Whether `policy` selects `workload` and decides in `direction`. */
export function concerns(
  policy: ClusterNetworkPolicy,
  workload: Workload,
  namespaceLabels: Labels | undefined,
  direction: Direction,
): boolean {
  return policy[direction].length > 0 &&
    selects({ namespace: undefined, ...policy }, workload, namespaceLabels);
}

/** Compares ClusterNetworkPolicies of one tier by their order of evaluation. */
export function compareClusterPolicies(a: ClusterNetworkPolicy, b: ClusterNetworkPolicy): number {
  return a.priority - b.priority || (a.name < b.name ? -1 : 1);
}

/** The rules of a direction; those of a NetworkPolicy accept. */
export function rulesOf(
  policy: NetworkPolicy | ClusterNetworkPolicy,
  direction: Direction,
): readonly ClusterPolicyRule[] {
  const rules:
    readonly (Partial<ClusterPolicyRule> & Pick<ClusterPolicyRule, "peers" | "ports">)[] =
      policy[direction] ?? [];
  return rules.map((rule) => ({ name: "", action: "accept", ...rule }));
}

/** Converts a pod peer of a policy in `policyNamespace` to a selection of pods. */
export function selectionOf(peer: PodPeer, policyNamespace: string | undefined): PodSelection {
  return {
    namespace: peer.namespaceSelector === undefined ? policyNamespace : undefined,
    namespaceSelector: peer.namespaceSelector ?? [],
    podSelector: peer.podSelector,
  };
}

/**
 * Whether `selection` selects `workload`. `namespaceLabels` are those of the pod's namespace; while
 * they are unknown no namespace selector matches.
 */
export function selects(
  selection: PodSelection,
  workload: Workload,
  namespaceLabels: Labels | undefined,
): boolean {
  if (!isPolicySubject(workload)) return false;
  const inNamespace = selection.namespace === undefined
    ? namespaceLabels !== undefined && matchesLabels(selection.namespaceSelector, namespaceLabels)
    : selection.namespace === workload.namespace;
  return inNamespace && matchesLabels(selection.podSelector, workload.labels);
}

/** The policy that the annotation of NetworkPolicy's first days stands for: it allows no ingress. */
export function isolationPolicyOf(namespace: Namespace): NetworkPolicy | undefined {
  if (!namespace.isIsolated) return undefined;
  return {
    namespace: namespace.name,
    name: "annotation.DefaultDeny",
    podSelector: [],
    ingress: [],
    egress: undefined,
    resourceVersion: "",
  };
}
