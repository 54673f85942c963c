/** A pod as policy sees it: a workload with labels, addresses and named ports. */

import type { Address } from "../ip/address.ts";
import type { Labels } from "./labels.ts";

/** Transport protocols of the Kubernetes API. */
export type Protocol = "TCP" | "UDP" | "SCTP";

/** All transport protocols, with their IANA protocol numbers. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** A container port that has a name. */
export interface NamedPort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** One pod. Policy ignores a `finished` pod (Succeeded, Failed): another pod may have its addresses already. */
export interface Workload {
  readonly namespace: string;
  readonly name: string;
  /** As the node's container runtime knows the pod: for a static pod not its object's. */
  readonly uid: string;
  /** `spec.nodeName`; empty while the pod is not scheduled. */
  readonly nodeName: string;
  readonly labels: Labels;
  /** RFC 3339, in UTC; missing: unknown. Of two pods at one address the newer one holds it. */
  readonly createdAt?: string;
  readonly serviceAccount: string;
  readonly addresses: readonly Address[];
  readonly hostNetwork: boolean;
  readonly finished: boolean;
  readonly ports: readonly NamedPort[];
  readonly resourceVersion: string;
}

/** The key of a namespaced object: `namespace/name`. */
export function keyOf(object: { readonly namespace: string; readonly name: string }): string {
  return `${object.namespace}/${object.name}`;
}

/** Whether two states of a pod mean the same to policy: most updates of a pod's status do. */
export function isSameToPolicy(a: Workload, b: Workload): boolean {
  return a.uid === b.uid && a.nodeName === b.nodeName && a.createdAt === b.createdAt &&
    a.hostNetwork === b.hostNetwork &&
    a.finished === b.finished && a.addresses.join() === b.addresses.join() &&
    formatLabels(a) === formatLabels(b) && formatPorts(a) === formatPorts(b);
}

function formatLabels({ labels }: Workload): string {
  return JSON.stringify(Object.keys(labels).sort().map((key) => [key, labels[key]]));
}

function formatPorts({ ports }: Workload): string {
  return ports.map((it) => `${it.name}/${it.protocol}/${it.port}`).join();
}
