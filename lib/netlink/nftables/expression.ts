/**
 * Expressions: the steps of a rule, run in order until one breaks. Builders with English field names;
 * a dump reads back as the same values, plus what the kernel fills in (`flags: 0`, counts).
 * `enum nft_expr_attributes`: <linux/netfilter/nf_tables.h>. Byte order of values is the caller's:
 * packet fields in network order, meta mark and conntrack state in host order.
 */

import { choose, type TypeOf } from "../schema.ts";
import { NFT_REG_VERDICT, type Verdict } from "./data.ts";
import {
  bitwise as bitwiseAttributes,
  cmp as cmpAttributes,
  counter as counterAttributes,
  ct as ctAttributes,
  fib as fibAttributes,
  immediate as immediateAttributes,
  limit as limitAttributes,
  log as logAttributes,
  lookup as lookupAttributes,
  meta as metaAttributes,
  NFT_LIMIT_F_INV,
  NFT_LIMIT_PKTS,
  NFT_LOOKUP_F_INV,
  payload as payloadAttributes,
  range as rangeAttributes,
  reject as rejectAttributes,
} from "./expression_attributes.ts";

/** NFTA_EXPR_NAME and NFTA_EXPR_DATA; an expression that is not here keeps its data as bytes. */
export const expression = choose("expression", { name: 1, data: 2 }, {
  bitwise: bitwiseAttributes,
  cmp: cmpAttributes,
  counter: counterAttributes,
  ct: ctAttributes,
  fib: fibAttributes,
  immediate: immediateAttributes,
  limit: limitAttributes,
  log: logAttributes,
  lookup: lookupAttributes,
  meta: metaAttributes,
  payload: payloadAttributes,
  range: rangeAttributes,
  reject: rejectAttributes,
});

/** One expression. */
export type Expression = TypeOf<typeof expression>;

/** Loads a property of the packet that is not in it, or sets it from `sourceRegister`. */
export function meta(
  { key, destinationRegister, sourceRegister }: {
    /** NFT_META_*. */
    readonly key: number;
    readonly destinationRegister?: number;
    readonly sourceRegister?: number;
  },
): Expression {
  return { name: "meta", data: { destinationRegister, key, sourceRegister } };
}

/** Loads bytes of the packet; breaks when it is too short. */
export function payload(
  { base, offset, length, destinationRegister }: {
    /** NFT_PAYLOAD_*_HEADER. */
    readonly base: number;
    readonly offset: number;
    readonly length: number;
    readonly destinationRegister: number;
  },
): Expression {
  return { name: "payload", data: { destinationRegister, base, offset, length } };
}

/** Breaks unless the register compares so with `value`, over the length of `value`. */
export function cmp(
  { sourceRegister, operator, value }: {
    readonly sourceRegister: number;
    /** NFT_CMP_*. */
    readonly operator: number;
    readonly value: Uint8Array;
  },
): Expression {
  return { name: "cmp", data: { sourceRegister, operator, data: { value } } };
}

/** Breaks unless the register is within (NFT_RANGE_EQ) or without (NFT_RANGE_NEQ) both bounds. */
export function range(
  { sourceRegister, operator, from, to }: {
    readonly sourceRegister: number;
    /** NFT_RANGE_*. */
    readonly operator: number;
    readonly from: Uint8Array;
    /** Inclusive. */
    readonly to: Uint8Array;
  },
): Expression {
  return {
    name: "range",
    data: { sourceRegister, operator, from: { value: from }, to: { value: to } },
  };
}

/** `destination = (source & mask) ^ xor`. */
export function bitwise(
  { sourceRegister, destinationRegister, mask, xor }: {
    readonly sourceRegister: number;
    readonly destinationRegister: number;
    readonly mask: Uint8Array;
    /** Zeros when absent. */
    readonly xor?: Uint8Array;
  },
): Expression {
  return {
    name: "bitwise",
    data: {
      sourceRegister,
      destinationRegister,
      length: mask.length,
      mask: { value: mask },
      xor: { value: xor ?? new Uint8Array(mask.length) },
    },
  };
}

/**
 * Breaks unless the register is in the set; with `destinationRegister` loads what a map has for it
 * (NFT_REG_VERDICT: the verdict happens).
 */
export function lookup(
  { set, setId, sourceRegister, destinationRegister, inverted = false }: {
    readonly set: string;
    /** Of a set made in the same transaction whose name the kernel chooses; otherwise not needed. */
    readonly setId?: number;
    readonly sourceRegister: number;
    readonly destinationRegister?: number;
    readonly inverted?: boolean;
  },
): Expression {
  const flags = inverted ? NFT_LOOKUP_F_INV : undefined;
  return {
    name: "lookup",
    data: { set, sourceRegister, destinationRegister, setId, flags },
  };
}

/** Ends the rule with a verdict, or loads a value. */
export function immediate(
  content:
    | { readonly verdict: Verdict }
    | { readonly destinationRegister: number; readonly value: Uint8Array },
): Expression {
  const data = "verdict" in content
    ? { destinationRegister: NFT_REG_VERDICT, data: { verdict: content.verdict } }
    : { destinationRegister: content.destinationRegister, data: { value: content.value } };
  return { name: "immediate", data };
}

/** Counts packets and bytes, from 0 or from what is given. */
export function counter(
  start?: { readonly packets: number | bigint; readonly bytes: number | bigint },
): Expression {
  if (start === undefined) return { name: "counter", data: {} };
  return {
    name: "counter",
    data: { bytes: BigInt(start.bytes), packets: BigInt(start.packets) },
  };
}

/** Loads a property of the packet's connection, or sets it from `sourceRegister`. */
export function ct(
  { key, direction, destinationRegister, sourceRegister }: {
    /** NFT_CT_*. */
    readonly key: number;
    /** IP_CT_DIR_*, of addresses and ports. */
    readonly direction?: number;
    readonly destinationRegister?: number;
    readonly sourceRegister?: number;
  },
): Expression {
  return { name: "ct", data: { destinationRegister, key, direction, sourceRegister } };
}

/** Breaks when there is more than `rate` in `unitSeconds`; with `over` when there is not. */
export function limit(
  { rate, unitSeconds = 1, burst, type = NFT_LIMIT_PKTS, over = false }: {
    readonly rate: number | bigint;
    readonly unitSeconds?: number;
    /** The kernel takes 5 for packets and 0 for bytes when absent. */
    readonly burst?: number;
    /** NFT_LIMIT_PKTS or NFT_LIMIT_PKT_BYTES. */
    readonly type?: number;
    readonly over?: boolean;
  },
): Expression {
  return {
    name: "limit",
    data: {
      rate: BigInt(rate),
      unitSeconds: BigInt(unitSeconds),
      burst,
      type,
      flags: over ? NFT_LIMIT_F_INV : 0,
    },
  };
}

/** Reports the packet to an NFLOG group, or without `group` to the kernel's log. */
export function log(
  options: {
    readonly group?: number;
    /** At most 127 bytes. */
    readonly prefix?: string;
    readonly snapLength?: number;
    readonly queueThreshold?: number;
    /** NFT_LOGLEVEL_*. */
    readonly level?: number;
    readonly flags?: number;
  },
): Expression {
  return { name: "log", data: options };
}

/** Drops the packet and tells its sender. */
export function reject(
  { type, code = 0 }: {
    /** NFT_REJECT_*. */
    readonly type: number;
    /** NFT_REJECT_ICMPX_*, or the code of the family's ICMP. */
    readonly code?: number;
  },
): Expression {
  return { name: "reject", data: { type, code } };
}

/** Asks the routing tables about one of the packet's addresses. */
export function fib(
  { result, flags, destinationRegister }: {
    /** NFT_FIB_RESULT_*. */
    readonly result: number;
    /** NFTA_FIB_F_*. */
    readonly flags: number;
    readonly destinationRegister: number;
  },
): Expression {
  return { name: "fib", data: { destinationRegister, result, flags } };
}
