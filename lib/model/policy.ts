/**
 * Policies with their defaults applied: the decoder fills in every field that the API
 * leaves out, so that the code behind it applies no default again. NetworkPolicy is `networking.k8s.io/v1`, ClusterNetworkPolicy
 * is `policy.networking.k8s.io`, `v1beta1` and `v1alpha2` alike.
 */

import type { Prefix } from "../ip/prefix.ts";
import type { LabelSelector } from "./labels.ts";
import type { Protocol } from "./workload.ts";

/** From the pod's side: ingress comes to it, egress leaves it. */
export type Direction = "ingress" | "egress";

/** Both directions, in the order in which everything is done for each. */
export const DIRECTIONS: readonly Direction[] = ["ingress", "egress"];

/** The tiers, in order of evaluation. */
const TIERS = ["admin", "namespaced", "baseline"] as const;
export type Tier = (typeof TIERS)[number];

/** A namespaced policy. A direction that is `undefined` is not governed; `[]` allows nothing. */
export interface NetworkPolicy {
  readonly namespace: string;
  readonly name: string;
  readonly podSelector: LabelSelector;
  readonly ingress: readonly PolicyRule[] | undefined;
  readonly egress: readonly PolicyRule[] | undefined;
  readonly resourceVersion: string;
}

/** A cluster-wide policy: the first rule that matches decides; without one the next policy does. */
export interface ClusterNetworkPolicy {
  readonly name: string;
  readonly tier: "admin" | "baseline";
  /** 0 to 1000; the lower is evaluated first. Negative: it could not be read; evaluated before all others. */
  readonly priority: number;
  readonly namespaceSelector: LabelSelector;
  readonly podSelector: LabelSelector;
  readonly ingress: readonly ClusterPolicyRule[];
  readonly egress: readonly ClusterPolicyRule[];
  readonly resourceVersion: string;
}

/** What a rule does with a matching packet; `pass`: the next tier decides. */
export type RuleAction = "accept" | "deny" | "pass";

/** One rule of a ClusterNetworkPolicy. */
export interface ClusterPolicyRule extends PolicyRule<PolicyPeer> {
  /** For people; may be empty. */
  readonly name: string;
  readonly action: RuleAction;
}

/** Any of the peers and any of the ports; `undefined` = every one, `[]` = none. */
export interface PolicyRule<P = NetworkPolicyPeer> {
  readonly peers: readonly P[] | undefined;
  readonly ports: readonly PolicyPort[] | undefined;
}

/** Pods by labels (of their own, of their namespace, or both), or addresses. */
export type NetworkPolicyPeer = PodPeer | AddressPeer;

/** A ClusterNetworkPolicy also knows nodes. */
export type PolicyPeer = NetworkPolicyPeer | NodePeer;

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

/** The addresses of the nodes that the selector selects. */
export interface NodePeer {
  readonly kind: "nodes";
  readonly selector: LabelSelector;
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
