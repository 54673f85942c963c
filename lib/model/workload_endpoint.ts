/**
 * A workload endpoint: a pod as Calico's tools show it. Not what policy decides by (that is the
 * `Workload` itself), but the names under which an administrator of Calico knows it.
 */

import { Prefix } from "../ip/prefix.ts";
import { interfaceNameOf } from "./interface_name.ts";
import type { Labels } from "./labels.ts";
import type { Workload } from "./workload.ts";

/** The label that says which namespace an endpoint is in. */
export const NAMESPACE_LABEL = "calico/k8s_ns";

/** A pod's attachment to the network. */
export interface WorkloadEndpoint {
  readonly namespace: string;
  readonly pod: string;
  readonly node: string;
  readonly orchestrator: "k8s";
  /** `<namespace>.<pod>`. */
  readonly workload: string;
  /** The interface's name inside the pod. */
  readonly name: "eth0";
  /** The interface's name on the host, unless another interface of the node had it first. */
  readonly interfaceName: string;
  /** /32 and /128. */
  readonly networks: readonly Prefix[];
  readonly profiles: readonly string[];
  /** The pod's, and the one that names its namespace. */
  readonly labels: Labels;
}

/** The profile of a namespace: the default verdict for its pods that no policy selects. */
export function profileNameOf(namespace: string): string {
  return `k8s_ns.${namespace}`;
}

/**
 * The endpoint of a pod, or `undefined` where the pod is none: it is on its host's network, has no
 * node or no address yet, or has finished, so that its address may already be another's.
 */
export function workloadEndpointOf(pod: Workload): WorkloadEndpoint | undefined {
  if (pod.hostNetwork || pod.finished || pod.nodeName === "" || pod.addresses.length === 0) {
    return undefined;
  }
  return {
    namespace: pod.namespace,
    pod: pod.name,
    node: pod.nodeName,
    orchestrator: "k8s",
    workload: `${pod.namespace}.${pod.name}`,
    name: "eth0",
    interfaceName: interfaceNameOf(pod.namespace, pod.name),
    networks: pod.addresses.map(Prefix.host),
    profiles: [profileNameOf(pod.namespace)],
    labels: { ...pod.labels, [NAMESPACE_LABEL]: pod.namespace },
  };
}
