/**
 * Conntrack messages: numbers, status bits, attribute tables, kinds. `enum cntl_msg_types`,
 * `enum ctattr_type` and those it nests: <linux/netfilter/nfnetlink_conntrack.h>; IPS_*:
 * <linux/netfilter/nf_conntrack_common.h>; the header is `struct nfgenmsg`, as nf_tables has it.
 */

import { flowAddress } from "./flow_address.ts";
import type { MessageKind } from "../message.ts";
import { nfgenmsg } from "../nftables/message.ts";
import {
  attributes,
  type AttributesOf,
  be16,
  be32,
  be64,
  type Codec,
  u16,
  u32,
  u8,
} from "../schema.ts";

export const NFNL_SUBSYS_CTNETLINK = 1;

export const IPCTNL_MSG_CT_NEW = 0;
export const IPCTNL_MSG_CT_GET = 1;
export const IPCTNL_MSG_CT_DELETE = 2;
export const IPCTNL_MSG_CT_GET_STATS = 5;

/** The flow was expected: another one announced it, as FTP's control connection its data. */
export const IPS_EXPECTED = 0x1;
/** Both ends have sent. */
export const IPS_SEEN_REPLY = 0x2;
/** Not to be dropped early when the table is full. */
export const IPS_ASSURED = 0x4;
/** The flow is in the table, as every one is that a dump shows. */
export const IPS_CONFIRMED = 0x8;
/** The source, the destination is translated. */
export const IPS_SRC_NAT = 0x10;
export const IPS_DST_NAT = 0x20;
/** The flow ends when its time is over, whatever is sent meanwhile. */
export const IPS_FIXED_TIMEOUT = 0x400;

/** `enum tcp_conntrack`, <linux/netfilter/nf_conntrack_tcp.h>. */
export const TCP_CONNTRACK_SYN_SENT = 1;
export const TCP_CONNTRACK_ESTABLISHED = 3;
export const TCP_CONNTRACK_FIN_WAIT = 4;
export const TCP_CONNTRACK_CLOSE_WAIT = 5;
export const TCP_CONNTRACK_TIME_WAIT = 7;

/** `enum ctattr_ip`. */
const tupleAddresses = attributes("tupleAddresses", {
  source4: [1, flowAddress], // CTA_IP_V4_SRC
  destination4: [2, flowAddress], // CTA_IP_V4_DST
  source6: [3, flowAddress], // CTA_IP_V6_SRC
  destination6: [4, flowAddress], // CTA_IP_V6_DST
});

/** `enum ctattr_l4proto`; in the order in which conntrack(8) sends them. */
const tupleProtocol = attributes("tupleProtocol", {
  number: [1, u8], // CTA_PROTO_NUM: IPPROTO_*
  sourcePort: [2, be16], // CTA_PROTO_SRC_PORT; GRE's key
  destinationPort: [3, be16], // CTA_PROTO_DST_PORT
  icmpCode: [6, u8], // CTA_PROTO_ICMP_CODE
  icmpType: [5, u8], // CTA_PROTO_ICMP_TYPE
  icmpId: [4, be16], // CTA_PROTO_ICMP_ID
  icmpv6Code: [9, u8], // CTA_PROTO_ICMPV6_CODE
  icmpv6Type: [8, u8], // CTA_PROTO_ICMPV6_TYPE
  icmpv6Id: [7, be16], // CTA_PROTO_ICMPV6_ID
});

/** `enum ctattr_tuple`. */
export const tupleAttributes = attributes("tuple", {
  addresses: [1, tupleAddresses], // CTA_TUPLE_IP
  protocol: [2, tupleProtocol], // CTA_TUPLE_PROTO
  zone: [3, be16], // CTA_TUPLE_ZONE: where the zone is of this direction alone
});

/** `enum ctattr_protoinfo_tcp`. */
const tcpInfo = attributes("tcpInfo", {
  state: [1, u8], // CTA_PROTOINFO_TCP_STATE: TCP_CONNTRACK_*
  originalScale: [2, u8], // CTA_PROTOINFO_TCP_WSCALE_ORIGINAL
  replyScale: [3, u8], // CTA_PROTOINFO_TCP_WSCALE_REPLY
  originalFlags: [4, u16], // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL: flags, mask
  replyFlags: [5, u16], // CTA_PROTOINFO_TCP_FLAGS_REPLY
});

/** `enum ctattr_protoinfo`. */
const protocolInfo = attributes("protocolInfo", {
  tcp: [1, tcpInfo], // CTA_PROTOINFO_TCP
});

/** `enum ctattr_counters`. */
const counters = attributes("counters", {
  packets: [1, be64], // CTA_COUNTERS_PACKETS
  bytes: [2, be64], // CTA_COUNTERS_BYTES
});

/** `enum ctattr_filter`; the bits are CTA_FILTER_F_*. Linux 5.8; older ones do not filter. */
const filter = attributes("filter", {
  originalFlags: [1, u32], // CTA_FILTER_ORIG_FLAGS
  replyFlags: [2, u32], // CTA_FILTER_REPLY_FLAGS
});

/** Which fields of a tuple a filter compares; `net/netfilter/nf_internals.h`. */
export const CTA_FILTER_F_CTA_IP_SRC = 0x1;
export const CTA_FILTER_F_CTA_IP_DST = 0x2;

/** `enum ctattr_type`. */
export const flowAttributes = attributes("flow", {
  original: [1, tupleAttributes], // CTA_TUPLE_ORIG: as the first packet came
  reply: [2, tupleAttributes], // CTA_TUPLE_REPLY: as the answer comes
  status: [3, be32], // CTA_STATUS: IPS_*
  protocolInfo: [4, protocolInfo], // CTA_PROTOINFO
  timeoutSeconds: [7, be32], // CTA_TIMEOUT
  mark: [8, be32], // CTA_MARK
  originalCounters: [9, counters], // CTA_COUNTERS_ORIG: with net.netfilter.nf_conntrack_acct
  replyCounters: [10, counters], // CTA_COUNTERS_REPLY
  use: [11, be32], // CTA_USE
  id: [12, be32], // CTA_ID
  master: [14, tupleAttributes], // CTA_TUPLE_MASTER: the original tuple of what announced it
  zone: [18, be16], // CTA_ZONE: of both directions
  filter: [25, filter], // CTA_FILTER
  statusMask: [26, be32], // CTA_STATUS_MASK: which bits a filter compares. Linux 5.15
});

/** The attributes of a flow. */
export type FlowAttributes = AttributesOf<typeof flowAttributes>;
/** The attributes of a tuple. */
export type TupleAttributes = AttributesOf<typeof tupleAttributes>;

/** `enum ctattr_stats_global`. */
const statistics = attributes("statistics", {
  entries: [1, be32], // CTA_STATS_GLOBAL_ENTRIES
  entriesMax: [2, be32], // CTA_STATS_GLOBAL_MAX_ENTRIES
});

/** A conntrack message. */
export type ConntrackMessageKind<A = FlowAttributes> = MessageKind<{ family: Codec<number> }, A>;

function kind<A>(name: string, number: number, attributes: Codec<A>): ConntrackMessageKind<A> {
  return { name, type: (NFNL_SUBSYS_CTNETLINK << 8) | number, header: nfgenmsg, attributes };
}

export const NEW: ConntrackMessageKind = kind(
  "IPCTNL_MSG_CT_NEW",
  IPCTNL_MSG_CT_NEW,
  flowAttributes,
);
export const GET: ConntrackMessageKind = kind(
  "IPCTNL_MSG_CT_GET",
  IPCTNL_MSG_CT_GET,
  flowAttributes,
);
export const DELETE: ConntrackMessageKind = kind(
  "IPCTNL_MSG_CT_DELETE",
  IPCTNL_MSG_CT_DELETE,
  flowAttributes,
);
export const GET_STATS: ConntrackMessageKind<AttributesOf<typeof statistics>> = kind(
  "IPCTNL_MSG_CT_GET_STATS",
  IPCTNL_MSG_CT_GET_STATS,
  statistics,
);
