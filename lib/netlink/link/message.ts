/**
 * Link messages: fixed header, attribute tables, kinds. `struct ifinfomsg`, RTM_*,
 * RTNLGRP_*: <linux/rtnetlink.h>; `enum` of IFLA_*: <linux/if_link.h>; IFF_*: <linux/if.h>.
 */

import type { MessageKind } from "../message.ts";
import {
  attributes,
  choose,
  type Codec,
  s32,
  struct,
  structThen,
  text,
  u16,
  u32,
  u8,
} from "../schema.ts";
import { linkAddress } from "./link_address.ts";

/** The multicast group of links that come, change and go. */
export const RTNLGRP_LINK = 1;

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;

/** The administrator wants it up. */
export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
/** It is up and has a carrier. */
export const IFF_RUNNING = 0x40;
export const IFF_NOARP = 0x80;
export const IFF_LOWER_UP = 0x10000;

/** `IF_OPER_UP`, RFC 2863. */
export const IF_OPER_UP = 6;

/** IFLA_EXT_MASK: leave the counters out of the answer. */
export const RTEXT_FILTER_SKIP_STATS = 8;

/** `struct ifinfomsg`. */
export const ifinfomsg = struct("ifinfomsg", 16, {
  family: u8,
  pad: u8,
  type: u16, // ARPHRD_*
  index: s32,
  flags: u32, // IFF_*
  change: u32, // which of the flags to change
});

/** What a link and a veth's other end share. */
const common = {
  address: [1, linkAddress], // IFLA_ADDRESS
  name: [3, text], // IFLA_IFNAME, at most 15 bytes
  mtu: [4, u32], // IFLA_MTU
  namespaceFd: [28, u32], // IFLA_NET_NS_FD: the namespace to make it in, or to move it to
} as const;

/** Attributes of a veth's other end. */
const peer = structThen(ifinfomsg, attributes("peer", common));

/** `enum` of VETH_INFO_*, <linux/veth.h>. */
const veth = attributes("veth", {
  peer: [1, peer], // VETH_INFO_PEER
});

/** `enum` of IFLA_BR_*, those that say whether bridged packets meet the hooks of IP (br_netfilter). */
const bridge = attributes("bridge", {
  callIptables: [36, u8], // IFLA_BR_NF_CALL_IPTABLES
  callIp6tables: [37, u8], // IFLA_BR_NF_CALL_IP6TABLES
});

/** IFLA_LINKINFO: IFLA_INFO_KIND, and IFLA_INFO_DATA by that kind. */
const linkInfo = choose("linkInfo", { name: 1, data: 2 }, { veth, bridge });

/** `enum` of IFLA_XDP_*. */
const xdp = attributes("xdp", {
  programFd: [1, s32], // IFLA_XDP_FD: the program to attach; -1 detaches
  attached: [2, u8], // IFLA_XDP_ATTACHED, XDP_ATTACHED_*
});

/** `enum` of IFLA_*. */
export const linkAttributes = attributes("link", {
  ...common,
  link: [5, u32], // IFLA_LINK: of a veth, the other end's index in its own namespace
  master: [10, u32], // IFLA_MASTER: index of the bridge, VRF, … that it is a port of
  operationalState: [16, u8], // IFLA_OPERSTATE, IF_OPER_*
  linkInfo: [18, linkInfo], // IFLA_LINKINFO
  alias: [20, text], // IFLA_IFALIAS: what an administrator calls it; at most 255 bytes
  extendedMask: [29, u32], // IFLA_EXT_MASK
  linkNamespaceId: [37, s32], // IFLA_LINK_NETNSID: our id of the namespace of `link`
  xdp: [43, xdp], // IFLA_XDP
});

type LinkKind = MessageKind<
  Record<"family" | "pad" | "type" | "index" | "flags" | "change", Codec<number>>,
  ReturnType<typeof linkAttributes.read>
>;

function kind(name: string, type: number): LinkKind {
  return { name, type, header: ifinfomsg, attributes: linkAttributes };
}

export const NEWLINK: LinkKind = kind("RTM_NEWLINK", RTM_NEWLINK);
export const DELLINK: LinkKind = kind("RTM_DELLINK", RTM_DELLINK);
export const GETLINK: LinkKind = kind("RTM_GETLINK", RTM_GETLINK);
export const SETLINK: LinkKind = kind("RTM_SETLINK", RTM_SETLINK);
