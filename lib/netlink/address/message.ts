/**
 * Address messages: fixed header, attribute table, kinds. `struct ifaddrmsg`, `enum` of IFA_*,
 * IFA_F_*: <linux/if_addr.h>; RT_SCOPE_*: <linux/rtnetlink.h>.
 */

import type { MessageKind } from "../message.ts";
import { attributes, type Codec, struct, text, u32, u8 } from "../schema.ts";
import { ipAddress } from "./ip_address.ts";

/** The multicast groups of addresses that come and go. */
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV6_IFADDR = 9;

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

/** IPv6: usable at once, without asking whether another has it. */
export const IFA_F_NODAD = 0x2;
/** IPv6: another has it. */
export const IFA_F_DADFAILED = 0x8;
/** IPv6: not usable yet. */
export const IFA_F_TENTATIVE = 0x40;
export const IFA_F_PERMANENT = 0x80;

export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
/** In a request to delete a route: whatever its scope. */
export const RT_SCOPE_NOWHERE = 255;

/** `struct ifaddrmsg`. */
export const ifaddrmsg = struct("ifaddrmsg", 8, {
  family: u8, // AF_*
  prefixLength: u8,
  flags: u8, // the lower eight of IFA_F_*
  scope: u8, // RT_SCOPE_*
  index: u32,
});

/** `enum` of IFA_*. */
export const addressAttributes = attributes("address", {
  local: [2, ipAddress], // IFA_LOCAL: our own; IPv6 leaves it out unless there is a peer
  address: [1, ipAddress], // IFA_ADDRESS: the peer's on a point-to-point link, else our own
  label: [3, text], // IFA_LABEL
  flags: [8, u32], // IFA_FLAGS: all of IFA_F_*
});

type AddressKind = MessageKind<
  Record<"family" | "prefixLength" | "flags" | "scope" | "index", Codec<number>>,
  ReturnType<typeof addressAttributes.read>
>;

function kind(name: string, type: number): AddressKind {
  return { name, type, header: ifaddrmsg, attributes: addressAttributes };
}

export const NEWADDR: AddressKind = kind("RTM_NEWADDR", RTM_NEWADDR);
export const DELADDR: AddressKind = kind("RTM_DELADDR", RTM_DELADDR);
export const GETADDR: AddressKind = kind("RTM_GETADDR", RTM_GETADDR);
