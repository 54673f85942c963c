/**
 * Every name that the kernel sees: chains, sets, maps, comments. People read them in
 * `nft list table inet calyx`, so they say what they stand for as far as the kernel's limits allow.
 */

import { createHash } from "node:crypto";
import type { Family } from "../../ip/address.ts";
import type { DesiredPolicy } from "../../model/desired.ts";
import type { Direction, Tier } from "../../model/policy.ts";

/** Our table: nothing outside it is read or touched. */
export const TABLE_NAME = "calyx";

/** Longest chain name that we make; the kernel takes 255 (NFT_NAME_MAXLEN), nft(8) lists less well. */
const CHAIN_NAME_LENGTH_MAX = 120;
/** Longest comment: what nft(8) takes; the kernel's user data would hold more. */
const COMMENT_BYTES_MAX = 127;

/** Base chains: what passes through the node, first as its sender's egress, then as its receiver's ingress. */
export const CHAIN_FORWARD_EGRESS = "forward-egress";
export const CHAIN_FORWARD_INGRESS = "forward-ingress";
/** Packets to the node itself, and packets that leave it. */
export const CHAIN_INPUT = "input";
export const CHAIN_OUTPUT = "output";
/** Packets that the node sends on for others: IPVS, transparent proxies. */
export const CHAIN_OUTPUT_EGRESS = "output-egress";
export const CHAIN_OUTPUT_INGRESS = "output-ingress";
/** Packets that the node forwards, whatever their sender. */
export const CHAIN_PASSING = "passing";
/** Packets that a pod sends through its interface, through the node or to it. */
export const CHAIN_FROM_POD = "from-pod";
export const CHAIN_POD_TO_NODE = "pod-to-node";
/** Packets from a pod that conntrack calls related, mostly ICMP errors. */
export const CHAIN_RELATED = "related-from-pod";
/** Packets that conntrack calls invalid. */
export const CHAIN_INVALID = "invalid";
/** Packets with a pod's address that come by another interface than the pod's. */
export const CHAIN_ELSEWHERE = "from-elsewhere";
/** Packets from or to addresses whose interface another plugin made. */
export const CHAIN_SENT_ON = "sent-on";
export const CHAIN_TO_ADDRESS = "to-address";
/** Interface of a pod → its policy chain for egress, for ingress. */
export const MAPS: Readonly<Record<Direction, string>> = { ingress: "ingress", egress: "egress" };
/** State of a packet's flow → its verdict before any policy. */
export const MAP_STATES = "states";
/** Interfaces of the pods that we know. */
export const SET_PODS = "pods";

/** Address of a pod → its policy chain, for pods that another plugin attached. */
export function addressMapName(direction: Direction, family: Family): string {
  return `${MAPS[direction]}${family}`;
}

/** Interface of a pod → its policy chain for packets to its own node. */
export const MAP_HOST_EGRESS = "egress-host";

/** Address of a pod of this node → its policy chain for egress, for packets that the node sends on. */
export function sentOnMapName(family: Family): string {
  return `egress-sent-on${family}`;
}

/** Addresses of pods whose interfaces are ours. */
export function attachedSetName(family: Family): string {
  return `attached${family}`;
}

/** Addresses of this node's Node object. */
export function hostSetName(family: Family): string {
  return `host${family}`;
}

/** Pairs of a pod's address with its own addresses and its node's: no NetworkPolicy denies these flows. */
export function itselfSetName(family: Family): string {
  return `itself${family}`;
}

/** Interface and address of each pod: what it may send from. */
export function sourceSetName(family: Family): string {
  return `sources${family}`;
}

/** What nft(8) reads back in a name; no API server takes an object whose name has more. */
const FOREIGN_CHARACTERS_REGEXP = /[^\w./-]/g;

/** `policy-ingress/namespace/name`; a name too long, or of other characters, ends in its hash. */
export function policyChainName(policy: DesiredPolicy): string {
  const name = `policy-${policy.direction}/${policy.name}`;
  const plain = name.replaceAll(FOREIGN_CHARACTERS_REGEXP, "_");
  if (plain === name && name.length <= CHAIN_NAME_LENGTH_MAX) return name;
  return `${plain.slice(0, CHAIN_NAME_LENGTH_MAX - 33)}-${shortHash(name)}`;
}

/** `pods-ingress-0123456789ab`: the chain of the pods that the same policies govern. */
export function programChainName(direction: Direction, id: string): string {
  return `pods-${direction}-${shortHash(id)}`;
}

/** `group-ingress-0123456789ab`: some of the policies of a program that has many. */
export function groupChainName(direction: Direction, ids: string): string {
  return `group-${direction}-${shortHash(ids)}`;
}

/** `admin-ingress-0123456789ab`: the rules of a tier's policies, in order of evaluation. */
export function tierChainName(tier: Tier, direction: Direction, id: string): string {
  return `${tier}-${direction}-${shortHash(id)}`;
}

/** `a4-0123456789ab`: kind of set, family, hash of its id. */
export function setName(kind: "a" | "n" | "r", family: Family, id: string): string {
  return `${kind}${family}-${shortHash(id)}`;
}

/** `p-0123456789ab`: a list of port ranges. */
export function portSetName(text: string): string {
  return `p-${shortHash(text)}`;
}

/** `namespace/policy/direction/rule`, cut to what the kernel keeps. */
export function ruleComment(policy: DesiredPolicy, index: number): string {
  return cutComment(`${policy.name}/${policy.direction}/${index}`);
}

/** The comment, cut to what nft takes, never inside a character, without quotes and line ends. */
export function cutComment(text: string): string {
  const plain = text.replaceAll('"', "'").replaceAll(/\p{Cc}/gu, " ");
  if (3 * plain.length <= COMMENT_BYTES_MAX) return plain; // a code unit is three bytes at most
  const encoded = new TextEncoder().encode(plain);
  if (encoded.length <= COMMENT_BYTES_MAX) return plain;
  const cut = new TextDecoder().decode(encoded.subarray(0, COMMENT_BYTES_MAX - 3));
  return `${cut.replace(/\ufffd$/, "")}…`;
}

/**
 * 32 hexadecimal digits of the SHA-1 of `text`. 128 bits: the author of a policy chooses part of the
 * text, and must not find one that collides with the name of another policy's set.
 */
export function shortHash(text: string): string {
  return createHash("sha1").update(text).digest("hex").slice(0, 32);
}
