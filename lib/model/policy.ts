/**
 * A NetworkPolicy, `networking.k8s.io/v1`, with its defaults applied: what the API leaves unsaid is
 * said here, so that nobody behind the decoder applies a default again.
 */

import type { Prefix } from "../ip/prefix.ts";
import type { LabelSelector } from "./labels.ts";
import type { Protocol } from "./workload.ts";

/** From the pod's side: ingress comes to it, egress leaves it. */
export type Direction = "ingress" | "egress";

/** Both directions, in the order in which everything is done for each. */
export const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];

/** A namespaced policy. A direction that is `undefined` is not governed; `[]` allows nothing. */
export interface NetworkPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly podSelector: LabelSelector;
  readonly ingress: readonly PolicyRule[] | undefined;
  readonly egress: readonly PolicyRule[] | undefined;
  readonly resourceVersion: string;
}

/** One allow rule: any of the peers and any of the ports; `undefined` = every one. */
export interface PolicyRule {
  readonly peers: readonly PolicyPeer[] | undefined;
  readonly ports: readonly PolicyPort[] | undefined;
}

/** Pods by labels (of their own, of their namespace, or both), or addresses. */
export type PolicyPeer = PodPeer | AddressPeer;

/** `namespaceSelector` undefined = the policy's own namespace. */
export interface PodPeer {
  readonly kind: "pods";
  readonly podSelector: LabelSelector;
  readonly namespaceSelector: LabelSelector | undefined;
}

/** `ipBlock`: the addresses of `cidr` that are in none of `except`. */
export interface AddressPeer {
  readonly kind: "addresses";
  readonly cidr: Prefix;
  readonly except: readonly Prefix[];
}

/** A protocol with a port range, a named port, or (`port` undefined) every port. */
export interface PolicyPort {
  readonly protocol: Protocol;
  readonly port: PortRange | string | undefined;
}

/** Ports `first` to `last`, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}
