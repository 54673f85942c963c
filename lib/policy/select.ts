/**
 * Who is selected: the one place that says which pods a policy governs and which pods a peer means.
 * The kernel program and `evaluate()` both ask here. Follows `networking.k8s.io/v1` NetworkPolicy.
 */

import { type Labels, type LabelSelector, matchesLabels } from "../model/labels.ts";
import type { Direction, NetworkPolicy, PodPeer, PolicyRule } from "../model/policy.ts";
import type { Workload } from "../model/workload.ts";

/** Pods by namespace and labels; `namespace` and `namespaceSelector` exclude each other. */
export interface PodSelection {
  /** Only this namespace; `undefined`: those that `namespaceSelector` selects. */
  readonly namespace: string | undefined;
  readonly namespaceSelector: LabelSelector;
  readonly podSelector: LabelSelector;
}

/**
 * Whether policy can apply to a pod at all: a pod on the host's network shares its node's address and
 * is neither governed nor a peer, and a finished pod is nobody.
 */
export function isGovernable(workload: Workload): boolean {
  return !workload.hostNetwork && !workload.finished;
}

/** Whether `policy` governs `workload` in `direction`. */
export function governs(
  policy: NetworkPolicy,
  workload: Workload,
  direction: Direction,
): boolean {
  return policy[direction] !== undefined && policy.namespace === workload.namespace &&
    isGovernable(workload) && matchesLabels(policy.podSelector, workload.labels);
}

/** The allow rules of a direction that the policy governs; `[]` where it does not. */
export function rulesOf(policy: NetworkPolicy, direction: Direction): readonly PolicyRule[] {
  return policy[direction] ?? [];
}

/** What a pod peer of a policy in `policyNamespace` selects. */
export function selectionOf(peer: PodPeer, policyNamespace: string): PodSelection {
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
  if (!isGovernable(workload)) return false;
  const inNamespace = selection.namespace === undefined
    ? namespaceLabels !== undefined && matchesLabels(selection.namespaceSelector, namespaceLabels)
    : selection.namespace === workload.namespace;
  return inNamespace && matchesLabels(selection.podSelector, workload.labels);
}
