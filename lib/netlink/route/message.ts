/**
 * Route messages: fixed header, attribute table, kinds. `struct rtmsg`, `enum rtattr_type_t`,
 * RTPROT_*, RTN_*, RT_TABLE_*, RTNH_F_*: <linux/rtnetlink.h>. Scopes are in `address/message.ts`.
 */

import { ipAddress } from "../address/ip_address.ts";
import type { MessageKind } from "../message.ts";
import { attributes, type Codec, struct, u32, u8 } from "../schema.ts";

/** The multicast groups of routes that come and go. */
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV6_ROUTE = 11;

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;

/** Who made a route: the kernel, `ip route` without `proto`, an administrator. */
export const RTPROT_KERNEL = 2;
export const RTPROT_BOOT = 3;
export const RTPROT_STATIC = 4;

export const RT_TABLE_UNSPEC = 0;
export const RT_TABLE_MAIN = 254;
export const RT_TABLE_LOCAL = 255;

/** A gateway, or a directly reachable destination; other types are the kernel's own. */
export const RTN_UNICAST = 1;

/** The gateway is on the link, whatever its addresses say. */
export const RTNH_F_ONLINK = 4;

/** `struct rtmsg`. */
export const rtmsg = struct("rtmsg", 12, {
  family: u8, // AF_*
  destinationLength: u8,
  sourceLength: u8,
  tos: u8,
  table: u8, // RT_TABLE_*; larger numbers only in the attribute
  protocol: u8, // RTPROT_*
  scope: u8, // RT_SCOPE_*
  type: u8, // RTN_*
  flags: u32, // RTNH_F_*, RTM_F_*
});

/** RTAX_*, those that matter to what is sent along a route. */
const routeMetrics = attributes("route metrics", {
  mtu: [2, u32], // RTAX_MTU
  advmss: [8, u32], // RTAX_ADVMSS: the largest TCP segment that is asked for
});

/** `enum rtattr_type_t`. */
export const routeAttributes = attributes("route", {
  destination: [1, ipAddress], // RTA_DST
  outputIndex: [4, u32], // RTA_OIF
  gateway: [5, ipAddress], // RTA_GATEWAY
  priority: [6, u32], // RTA_PRIORITY: the metric; the smaller wins
  preferredSource: [7, ipAddress], // RTA_PREFSRC
  metrics: [8, routeMetrics], // RTA_METRICS
  table: [15, u32], // RTA_TABLE
});

type RouteKind = MessageKind<
  Record<
    | "family"
    | "destinationLength"
    | "sourceLength"
    | "tos"
    | "table"
    | "protocol"
    | "scope"
    | "type"
    | "flags",
    Codec<number>
  >,
  ReturnType<typeof routeAttributes.read>
>;

function kind(name: string, type: number): RouteKind {
  return { name, type, header: rtmsg, attributes: routeAttributes };
}

export const NEWROUTE: RouteKind = kind("RTM_NEWROUTE", RTM_NEWROUTE);
export const DELROUTE: RouteKind = kind("RTM_DELROUTE", RTM_DELROUTE);
export const GETROUTE: RouteKind = kind("RTM_GETROUTE", RTM_GETROUTE);
