/**
 * The facts that decide policy on a node: what the API server says, and what the plugin told the
 * agent about the pods that it attached.
 */

import type { Address } from "../ip/address.ts";
import type { Namespace } from "./namespace.ts";
import type { Node } from "./node.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "./policy.ts";
import type { Workload } from "./workload.ts";

/** An attachment that the plugin reported: the pod's interface and addresses, before its status says so. */
export interface Attachment {
  readonly containerId: string;
  /** The interface's name inside the pod. */
  readonly ifname: string;
  readonly namespace: string;
  readonly pod: string;
  /** The pod's uid as the runtime has it; `undefined`: the runtime gave none, and the name decides. */
  readonly uid: string | undefined;
  readonly interfaceName: string;
  readonly addresses: readonly Address[];
}

/** The key of the pod that an attachment names: `namespace/pod`. */
export function podKeyOf({ namespace, pod }: Attachment): string {
  return `${namespace}/${pod}`;
}

/** A DEL of the plugin: this very pod is detached, even if its object still exists. */
export interface Detachment {
  readonly uid: string;
}

/** The pod in a link's alias (`link_alias.ts`), used if no attachment is known. */
export interface PodLink {
  readonly podDigest: string;
}

/** Kinds of facts and the type of their values. */
export interface FactTypes {
  /** By `namespace/name`. */
  readonly workload: Workload;
  /** By name. */
  readonly namespace: Namespace;
  /** By `namespace/name`. */
  readonly policy: NetworkPolicy;
  /** By name. */
  readonly clusterPolicy: ClusterNetworkPolicy;
  /** By name. */
  readonly node: Node;
  /** By `containerId/ifname`. */
  readonly attachment: Attachment;
  /** By `namespace/pod`. */
  readonly detachment: Detachment;
  /** By interface name. */
  readonly link: PodLink;
}

export type FactKind = keyof FactTypes;
