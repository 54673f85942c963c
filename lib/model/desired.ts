/**
 * What should be enforced on this node: the contract between the brain (`lib/policy`), which makes it
 * from the current facts, and the hands (`lib/dataplane`), which put it into the kernel. It knows
 * addresses, ports and interfaces, and nothing of Kubernetes objects but their names.
 */

import type { AddressRange } from "../ip/range.ts";
import type { Address, Family } from "../ip/address.ts";
import type { MemberSet } from "./member_set.ts";
import type { Direction, PortRange, RuleAction, Tier } from "./policy.ts";
import type { Protocol } from "./workload.ts";

/** Everything, as a function of the current facts. Ids are stable: the same content has the same id. */
export interface Desired {
  /** By host interface name, or `namespace/pod` where there is none. Any other interface is dropped. */
  readonly endpoints: ReadonlyMap<string, DesiredEndpoint>;
  /** Which policies govern a direction of a pod, by id; pods with the same list share one. */
  readonly programs: ReadonlyMap<string, DesiredProgram>;
  /** One direction of one policy, by id; of whatever tier. */
  readonly policies: ReadonlyMap<string, DesiredPolicy>;
  /** Address sets that the policies' rules name, by id. */
  readonly sets: ReadonlyMap<string, DesiredSet>;
  /** Addresses of this node's Node object, in the order of their texts. */
  readonly hostAddresses: readonly Address[];
  /** Interfaces that several pods of this node claim, with the pods' keys; at most one of them has it. */
  readonly conflicts: ReadonlyMap<string, readonly string[]>;
  /** What changed since an earlier value: code that handled that one can skip the rest. */
  readonly changes?: DesiredChanges;
}

/** Which entries may differ from the earlier `Desired`; all others are the same objects. */
export interface DesiredChanges {
  /** The earlier one; weak, so that a chain of them is not kept in memory. */
  readonly since: WeakRef<Desired>;
  readonly programs: ReadonlySet<string>;
  readonly policies: ReadonlySet<string>;
  readonly sets: ReadonlySet<string>;
}

/** A pod of this node: behind its host interface, and at its addresses. */
export interface DesiredEndpoint {
  /** `undefined`: no interface is open for it, and packets that bypass one are matched by address. */
  readonly interfaceName: string | undefined;
  /** `namespace/pod`. */
  readonly workload: string;
  readonly uid: string;
  /** In the order of their texts. */
  readonly addresses: readonly Address[];
  /** Addresses that the plugin gave to this very interface: they are valid on no other. */
  readonly attachedAddresses: readonly Address[];
  /** Program per direction; `undefined`: no policy governs the direction, and all packets pass. */
  readonly ingress: string | undefined;
  readonly egress: string | undefined;
  /**
   * Program for what it sends to its own node's addresses, which NetworkPolicy leaves alone: the tiers of
   * the cluster only.
   */
  readonly hostEgress: string | undefined;
  /** Its policies are unknown: only its node reaches it, and all that it sends is dropped, except replies. */
  readonly isClosed?: true;
}

/** What happens to a denied packet: `drop`, or `reject` with an answer to its sender. */
export type DenyAction = "drop" | "reject";

/**
 * Which policies decide in one direction, tier by tier. What the `namespaced` ones do not allow is
 * denied, if there are any; otherwise what no tier decides is allowed.
 */
export interface DesiredProgram {
  readonly id: string;
  readonly direction: Direction;
  readonly denyAction: DenyAction;
  /** Ids of `Desired.policies`, in order. */
  readonly admin: readonly string[];
  readonly namespaced: readonly string[];
  readonly baseline: readonly string[];
}

/** The rules of one direction of one policy. */
export interface DesiredPolicy {
  readonly id: string;
  readonly direction: Direction;
  readonly tier: Tier;
  /** `namespace/name`, or `name` for a policy of the whole cluster. */
  readonly name: string;
  readonly rules: readonly DesiredRule[];
}

/** One rule: from or to any of the peers, on any of the ports. `undefined` = every one. */
export interface DesiredRule {
  /** Position in the policy's `ingress` or `egress` list, from 0. */
  readonly index: number;
  readonly action: RuleAction;
  /** Ids of `Desired.sets` that hold the addresses of the other end. */
  readonly peers: readonly string[] | undefined;
  readonly ports: readonly DesiredPort[] | undefined;
}

/** A protocol with sorted, disjoint port ranges (none: every port), or a named port's set. */
export type DesiredPort =
  | {
    readonly kind: "numbers";
    readonly protocol: Protocol;
    readonly ranges: readonly PortRange[] | undefined;
  }
  /** Id of a `Desired.sets` entry of destination address, protocol and port. */
  | { readonly kind: "named"; readonly set: string };

/** A set that rules refer to. */
export type DesiredSet = AddressSet | AddressPortSet | RangeSet;

/** Addresses of pods or nodes, of either family. */
export interface AddressSet {
  readonly kind: "addresses";
  readonly id: string;
  readonly members: MemberSet;
}

/** Named ports: addresses with protocol and port. */
export interface AddressPortSet {
  readonly kind: "addressPorts";
  readonly id: string;
  readonly members: MemberSet;
}

/** An `ipBlock` without its exceptions: disjoint ranges of one family, never changed. */
export interface RangeSet {
  readonly kind: "ranges";
  readonly id: string;
  readonly family: Family;
  readonly ranges: readonly AddressRange[];
}

/** The desired state of no facts. */
export const NOTHING_DESIRED: Desired = {
  endpoints: new Map(),
  programs: new Map(),
  policies: new Map(),
  sets: new Map(),
  hostAddresses: [],
  conflicts: new Map(),
};
