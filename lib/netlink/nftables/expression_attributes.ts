/**
 * The attribute sets of the expressions that rules are made of, and the constants that fill them.
 * `enum nft_<name>_attributes` and its neighbours: <linux/netfilter/nf_tables.h>. Registers and
 * verdicts are in data.ts. Rows are in the order in which nft(8) sends them: any would do, and this
 * one compares.
 */

import { attributes, be16, be32, be64, text, u8 } from "../schema.ts";
import { data } from "./data.ts";

/** `enum nft_meta_keys`: those we use. Names are 16 bytes zero padded, the rest host order. */
export const NFT_META_LEN = 0;
export const NFT_META_PROTOCOL = 1;
export const NFT_META_MARK = 3;
export const NFT_META_IIF = 4;
export const NFT_META_OIF = 5;
export const NFT_META_IIFNAME = 6;
export const NFT_META_OIFNAME = 7;
/** NFPROTO_* of the packet, one byte. */
export const NFT_META_NFPROTO = 15;
/** IPPROTO_* of the packet, one byte; extension headers of IPv6 are skipped. */
export const NFT_META_L4PROTO = 16;
export const NFT_META_PKTTYPE = 19;

export const meta = attributes("meta", {
  key: [2, be32], // NFTA_META_KEY
  destinationRegister: [1, be32], // NFTA_META_DREG: load
  sourceRegister: [3, be32], // NFTA_META_SREG: set
});

/** `enum nft_payload_bases`. */
export const NFT_PAYLOAD_LL_HEADER = 0;
export const NFT_PAYLOAD_NETWORK_HEADER = 1;
export const NFT_PAYLOAD_TRANSPORT_HEADER = 2;

export const payload = attributes("payload", {
  destinationRegister: [1, be32], // NFTA_PAYLOAD_DREG
  base: [2, be32], // NFTA_PAYLOAD_BASE
  offset: [3, be32], // NFTA_PAYLOAD_OFFSET
  length: [4, be32], // NFTA_PAYLOAD_LEN
});

/** `enum nft_cmp_ops`. */
export const NFT_CMP_EQ = 0;
export const NFT_CMP_NEQ = 1;
export const NFT_CMP_LT = 2;
export const NFT_CMP_LTE = 3;
export const NFT_CMP_GT = 4;
export const NFT_CMP_GTE = 5;

export const cmp = attributes("cmp", {
  sourceRegister: [1, be32], // NFTA_CMP_SREG
  operator: [2, be32], // NFTA_CMP_OP
  data: [3, data], // NFTA_CMP_DATA
});

/** `enum nft_range_ops`. */
export const NFT_RANGE_EQ = 0;
export const NFT_RANGE_NEQ = 1;

export const range = attributes("range", {
  sourceRegister: [1, be32], // NFTA_RANGE_SREG
  operator: [2, be32], // NFTA_RANGE_OP
  from: [3, data], // NFTA_RANGE_FROM_DATA
  to: [4, data], // NFTA_RANGE_TO_DATA: inclusive
});

/** `enum nft_bitwise_ops`. */
export const NFT_BITWISE_MASK_XOR = 0;

export const bitwise = attributes("bitwise", {
  sourceRegister: [1, be32], // NFTA_BITWISE_SREG
  destinationRegister: [2, be32], // NFTA_BITWISE_DREG
  operation: [6, be32], // NFTA_BITWISE_OP, Linux 5.6; in dumps always
  length: [3, be32], // NFTA_BITWISE_LEN
  mask: [4, data], // NFTA_BITWISE_MASK
  xor: [5, data], // NFTA_BITWISE_XOR
  data: [7, data], // NFTA_BITWISE_DATA: of shifts
});

/** `enum nft_lookup_flags`. */
export const NFT_LOOKUP_F_INV = 1;

export const lookup = attributes("lookup", {
  sourceRegister: [2, be32], // NFTA_LOOKUP_SREG
  destinationRegister: [3, be32], // NFTA_LOOKUP_DREG: of a map
  set: [1, text], // NFTA_LOOKUP_SET
  setId: [4, be32], // NFTA_LOOKUP_SET_ID: of a set made in this transaction; never in dumps
  flags: [5, be32], // NFTA_LOOKUP_FLAGS
});

export const immediate = attributes("immediate", {
  destinationRegister: [1, be32], // NFTA_IMMEDIATE_DREG
  data: [2, data], // NFTA_IMMEDIATE_DATA
});

export const counter = attributes("counter", {
  bytes: [1, be64], // NFTA_COUNTER_BYTES
  packets: [2, be64], // NFTA_COUNTER_PACKETS
});

/** `enum nft_ct_keys`: those we use. */
export const NFT_CT_STATE = 0;
export const NFT_CT_DIRECTION = 1;
export const NFT_CT_STATUS = 2;
export const NFT_CT_MARK = 3;
export const NFT_CT_SRC_IP = 19;
export const NFT_CT_DST_IP = 20;
export const NFT_CT_SRC_IP6 = 21;
export const NFT_CT_DST_IP6 = 22;

/** Bits of NFT_CT_STATE (NF_CT_STATE_BIT), host order; only _INVALID and _UNTRACKED are in headers. */
export const CT_STATE_INVALID = 1;
export const CT_STATE_ESTABLISHED = 2;
export const CT_STATE_RELATED = 4;
export const CT_STATE_NEW = 8;
export const CT_STATE_UNTRACKED = 64;

/** `enum ip_conntrack_dir`, <linux/netfilter/nf_conntrack_tuple_common.h>. */
export const IP_CT_DIR_ORIGINAL = 0;
export const IP_CT_DIR_REPLY = 1;

export const ct = attributes("ct", {
  key: [2, be32], // NFTA_CT_KEY
  destinationRegister: [1, be32], // NFTA_CT_DREG: load
  direction: [3, u8], // NFTA_CT_DIRECTION
  sourceRegister: [4, be32], // NFTA_CT_SREG: set
});

/** `enum nft_limit_type`, `enum nft_limit_flags`. */
export const NFT_LIMIT_PKTS = 0;
export const NFT_LIMIT_PKT_BYTES = 1;
/** Matches what is over the limit, not what is within. */
export const NFT_LIMIT_F_INV = 1;

export const limit = attributes("limit", {
  rate: [1, be64], // NFTA_LIMIT_RATE
  unitSeconds: [2, be64], // NFTA_LIMIT_UNIT
  burst: [3, be32], // NFTA_LIMIT_BURST
  type: [4, be32], // NFTA_LIMIT_TYPE
  flags: [5, be32], // NFTA_LIMIT_FLAGS
});

/** `enum nft_log_level`: of the kernel's own log, when there is no group. */
export const NFT_LOGLEVEL_WARNING = 4;
export const NFT_LOGLEVEL_INFO = 6;

export const log = attributes("log", {
  prefix: [2, text], // NFTA_LOG_PREFIX: at most 127 bytes
  group: [1, be16], // NFTA_LOG_GROUP: the NFLOG group that listeners bind
  snapLength: [3, be32], // NFTA_LOG_SNAPLEN: bytes of the packet that are copied
  queueThreshold: [4, be16], // NFTA_LOG_QTHRESHOLD: packets per datagram
  level: [5, be32], // NFTA_LOG_LEVEL
  flags: [6, be32], // NFTA_LOG_FLAGS
});

/** `enum nft_reject_types`, `enum nft_reject_inet_code`. */
export const NFT_REJECT_ICMP_UNREACH = 0;
export const NFT_REJECT_TCP_RST = 1;
/** The ICMP or ICMPv6 code that fits the packet. */
export const NFT_REJECT_ICMPX_UNREACH = 2;
export const NFT_REJECT_ICMPX_NO_ROUTE = 0;
export const NFT_REJECT_ICMPX_PORT_UNREACH = 1;
export const NFT_REJECT_ICMPX_HOST_UNREACH = 2;
export const NFT_REJECT_ICMPX_ADMIN_PROHIBITED = 3;

export const reject = attributes("reject", {
  type: [1, be32], // NFTA_REJECT_TYPE
  code: [2, u8], // NFTA_REJECT_ICMP_CODE
});

/** `enum nft_fib_result`, `enum nft_fib_flags`. */
export const NFT_FIB_RESULT_OIF = 1;
export const NFT_FIB_RESULT_OIFNAME = 2;
export const NFT_FIB_RESULT_ADDRTYPE = 3;
export const NFTA_FIB_F_SADDR = 1;
export const NFTA_FIB_F_DADDR = 2;
export const NFTA_FIB_F_MARK = 4;
export const NFTA_FIB_F_IIF = 8;
export const NFTA_FIB_F_OIF = 16;
export const NFTA_FIB_F_PRESENT = 32;

export const fib = attributes("fib", {
  flags: [3, be32], // NFTA_FIB_FLAGS
  result: [2, be32], // NFTA_FIB_RESULT
  destinationRegister: [1, be32], // NFTA_FIB_DREG
});
