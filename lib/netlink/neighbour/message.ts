/**
 * Neighbour messages: fixed header, attribute table, kinds. `struct ndmsg`, `enum` of NDA_*, NUD_*,
 * NTF_*: <linux/neighbour.h>.
 */

import { ipAddress } from "../address/ip_address.ts";
import { linkAddress } from "../link/link_address.ts";
import type { MessageKind } from "../message.ts";
import { attributes, type Codec, s32, struct, u16, u32, u8 } from "../schema.ts";

/** The multicast group of neighbours that come, change and go. */
export const RTNLGRP_NEIGH = 3;

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

export const NUD_REACHABLE = 0x2;
export const NUD_STALE = 0x4;
export const NUD_FAILED = 0x20;
/** The link does no neighbour discovery, as loopback. */
export const NUD_NOARP = 0x40;
/** The entry stays until it is deleted; the kernel never probes it. */
export const NUD_PERMANENT = 0x80;

/** `struct ndmsg`. */
export const ndmsg = struct("ndmsg", 12, {
  family: u8, // AF_*
  pad1: u8,
  pad2: u16,
  index: s32,
  state: u16, // NUD_*
  flags: u8, // NTF_*
  type: u8, // RTN_*
});

/** `enum` of NDA_*. */
export const neighbourAttributes = attributes("neighbour", {
  destination: [1, ipAddress], // NDA_DST
  linkAddress: [2, linkAddress], // NDA_LLADDR
  index: [8, u32], // NDA_IFINDEX: of a dump, by which link
});

type NeighbourKind = MessageKind<
  Record<"family" | "pad1" | "pad2" | "index" | "state" | "flags" | "type", Codec<number>>,
  ReturnType<typeof neighbourAttributes.read>
>;

function kind(name: string, type: number): NeighbourKind {
  return { name, type, header: ndmsg, attributes: neighbourAttributes };
}

export const NEWNEIGH: NeighbourKind = kind("RTM_NEWNEIGH", RTM_NEWNEIGH);
export const DELNEIGH: NeighbourKind = kind("RTM_DELNEIGH", RTM_DELNEIGH);
export const GETNEIGH: NeighbourKind = kind("RTM_GETNEIGH", RTM_GETNEIGH);
