/** Expressions that several statements are made of. */

import { assert } from "../../base/assert.ts";
import type { Family } from "../../ip/address.ts";
import { type Protocol, PROTOCOL_NUMBERS } from "../../model/workload.ts";
import { HOST_IS_LITTLE_ENDIAN } from "../../netlink/buffer.ts";
import { NFT_REG_1, NFT_REG_VERDICT } from "../../netlink/nftables/data.ts";
import {
  bitwise,
  cmp,
  ct,
  type Expression,
  lookup,
  meta,
  payload,
  range,
} from "../../netlink/nftables/expression.ts";
import {
  CT_STATE_ESTABLISHED,
  CT_STATE_INVALID,
  CT_STATE_NEW,
  CT_STATE_RELATED,
  CT_STATE_UNTRACKED,
  NFT_CMP_EQ,
  NFT_CMP_NEQ,
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_NFPROTO,
  NFT_META_OIFNAME,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_RANGE_EQ,
} from "../../netlink/nftables/expression_attributes.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../../netlink/nftables/message.ts";

/** By which interface a packet comes, or goes. */
export type InterfaceEnd = "in" | "out";
/** Which of a packet's addresses. */
export type AddressEnd = "source" | "destination";
/** What conntrack says of a packet. */
export type CtState = "invalid" | "established" | "related" | "new" | "untracked";

/** Offset and length of the addresses, `struct iphdr`, `struct ipv6hdr`. */
export const ADDRESS_FIELDS = {
  4: { source: 12, destination: 16, length: 4 },
  6: { source: 8, destination: 24, length: 16 },
} as const;
/** Offset of the destination port in TCP, UDP and SCTP. */
const PORT_OFFSET = 2;

const CT_STATES: Readonly<Record<CtState, number>> = {
  invalid: CT_STATE_INVALID,
  established: CT_STATE_ESTABLISHED,
  related: CT_STATE_RELATED,
  new: CT_STATE_NEW,
  untracked: CT_STATE_UNTRACKED,
};

/** The interface's name into the first register. */
export function loadInterface(end: InterfaceEnd): Expression {
  const key = end === "in" ? NFT_META_IIFNAME : NFT_META_OIFNAME;
  return meta({ key, destinationRegister: NFT_REG_1 });
}

/** The first register is `value`, or begins so. */
export function equal(value: Uint8Array): Expression {
  return cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_EQ, value });
}

/** The first register is not `value`. */
export function notEqual(value: Uint8Array): Expression {
  return cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_NEQ, value });
}

/** The first register, and what lies behind it, is a key of the set. */
export function isIn(set: string): Expression {
  return lookup({ set, sourceRegister: NFT_REG_1 });
}

/** The same, negated. */
export function isNotIn(set: string): Expression {
  return lookup({ set, sourceRegister: NFT_REG_1, inverted: true });
}

/** Looks the first register up in a verdict map, and applies the verdict. */
export function verdictBy(map: string): Expression {
  return lookup({
    set: map,
    sourceRegister: NFT_REG_1,
    destinationRegister: NFT_REG_VERDICT,
  });
}

/** In an inet table the other family's packets have other bytes at the same place. */
export function matchFamily(family: Family): readonly Expression[] {
  return [
    meta({ key: NFT_META_NFPROTO, destinationRegister: NFT_REG_1 }),
    equal(Uint8Array.of(family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6)),
  ];
}

/** Bytes of the network header. */
export function loadNetwork(
  offset: number,
  length: number,
  destinationRegister: number,
): Expression {
  return payload({ base: NFT_PAYLOAD_NETWORK_HEADER, offset, length, destinationRegister });
}

/** Guarded by the family, into the first register. */
export function loadAddress(family: Family, end: AddressEnd): readonly Expression[] {
  const { length, ...offsets } = ADDRESS_FIELDS[family];
  return [...matchFamily(family), loadNetwork(offsets[end], length, NFT_REG_1)];
}

/** The transport protocol is this one. */
export function matchProtocol(protocol: Protocol): readonly Expression[] {
  return [
    meta({ key: NFT_META_L4PROTO, destinationRegister: NFT_REG_1 }),
    equal(Uint8Array.of(PROTOCOL_NUMBERS[protocol])),
  ];
}

/** The destination port. */
export function loadPort(destinationRegister: number): Expression {
  return payload({
    base: NFT_PAYLOAD_TRANSPORT_HEADER,
    offset: PORT_OFFSET,
    length: 2,
    destinationRegister,
  });
}

/** The first register, of as many bytes, lies between the two, ends included. */
export function between(from: Uint8Array, to: Uint8Array): Expression {
  if (from.every((byte, index) => byte === to[index])) return equal(from);
  return range({ sourceRegister: NFT_REG_1, operator: NFT_RANGE_EQ, from, to });
}

/** A state as `ct state` loads it: a packet is in one of them. */
export function ctStateBytes(state: CtState): Uint8Array {
  return hostBytes(CT_STATES[state]);
}

/** The bits of several states. */
export function ctStateMask(states: readonly CtState[]): number {
  return states.reduce((bits, state) => bits | CT_STATES[state], 0);
}

/** Whether one of the bits in `mask` is set. */
export function anyBit(key: number, mask: number): readonly Expression[] {
  return [
    ct({ key, destinationRegister: NFT_REG_1 }),
    bitwise({ sourceRegister: NFT_REG_1, destinationRegister: NFT_REG_1, mask: hostBytes(mask) }),
    notEqual(hostBytes(0)),
  ];
}

/** A port in network order. */
export function portBytes(port: number): Uint8Array {
  assert(port >= 0 && port <= 0xffff, "A port has 16 bits");
  return Uint8Array.of(port >> 8, port & 0xff);
}

/** A number of 32 bits in the host's order. */
export function hostBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, HOST_IS_LITTLE_ENDIAN);
  return bytes;
}
