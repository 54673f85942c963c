/** Statements → expressions: what a rule of ours is in the kernel's own words. */

import { assert } from "../base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN } from "../netlink/buffer.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_GOTO,
  NFT_JUMP,
  NFT_REG32_00,
  NFT_REG_1,
  NFT_REG_2,
  NFT_REG_VERDICT,
  NFT_RETURN,
  type Verdict as KernelVerdict,
} from "../netlink/nftables/data.ts";
import { IPS_FIXED_TIMEOUT } from "../netlink/conntrack/message.ts";
import {
  bitwise,
  cmp,
  counter,
  ct,
  type Expression,
  fib,
  immediate,
  limit,
  lookup,
  meta,
  payload,
  range,
  reject,
} from "../netlink/nftables/expression.ts";
import {
  CT_STATE_ESTABLISHED,
  CT_STATE_INVALID,
  CT_STATE_NEW,
  CT_STATE_RELATED,
  CT_STATE_UNTRACKED,
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  NFT_CMP_EQ,
  NFT_CMP_NEQ,
  NFT_CT_SRC_IP,
  NFT_CT_SRC_IP6,
  NFT_CT_STATE,
  NFT_CT_STATUS,
  NFT_FIB_RESULT_ADDRTYPE,
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_NFPROTO,
  NFT_META_OIFNAME,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_RANGE_EQ,
  NFT_REJECT_ICMPX_ADMIN_PROHIBITED,
  NFT_REJECT_ICMPX_UNREACH,
  NFT_REJECT_TCP_RST,
  NFTA_FIB_F_SADDR,
} from "../netlink/nftables/expression_attributes.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../netlink/nftables/message.ts";
import type { Family } from "../ip/address.ts";
import { type Protocol, PROTOCOL_NUMBERS } from "../model/workload.ts";
import type { CtState, Rule, Statement, Verdict } from "./ruleset.ts";

/** Offset and length of the addresses, `struct iphdr`, `struct ipv6hdr`. */
const ADDRESS_FIELDS = {
  4: { source: 12, destination: 16, length: 4 },
  6: { source: 8, destination: 24, length: 16 },
} as const;
const IPPROTO_ICMPV6 = 58;
/** The loopback interface's name, padded to IFNAMSIZ. */
const LOOPBACK = Uint8Array.of(0x6c, 0x6f, ...new Uint8Array(14));
/** <linux/rtnetlink.h>. */
const RTN_LOCAL = 2;
/** Offset of the destination port in TCP, UDP and SCTP. */
const PORT_OFFSET = 2;

const CT_STATES: Readonly<Record<CtState, number>> = {
  invalid: CT_STATE_INVALID,
  established: CT_STATE_ESTABLISHED,
  related: CT_STATE_RELATED,
  new: CT_STATE_NEW,
  untracked: CT_STATE_UNTRACKED,
};

/** The expressions of a rule, in order. */
export function encodeRule(rule: Rule): readonly Expression[] {
  return rule.statements.flatMap(encodeStatement);
}

/** A verdict as the kernel has it. */
export function encodeVerdict(verdict: Verdict): KernelVerdict {
  switch (verdict.code) {
    case "accept":
      return { code: NF_ACCEPT };
    case "drop":
      return { code: NF_DROP };
    case "return":
      return { code: NFT_RETURN };
    case "jump":
      return { code: NFT_JUMP, chain: verdict.chain };
    case "goto":
      return { code: NFT_GOTO, chain: verdict.chain };
  }
}

function encodeStatement(statement: Statement): readonly Expression[] {
  switch (statement.kind) {
    case "interfacePrefix":
      return [loadInterface(statement.end), equal(new TextEncoder().encode(statement.prefix))];
    case "interfaceNotLoopback":
      return [
        loadInterface("in"),
        cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_NEQ, value: LOOPBACK }),
      ];
    case "interfaceNotInSet":
      return [
        loadInterface(statement.end),
        lookup({ set: statement.set, sourceRegister: NFT_REG_1, inverted: true }),
      ];
    case "interfaceMap":
      return [
        loadInterface(statement.end),
        lookup({
          set: statement.map,
          sourceRegister: NFT_REG_1,
          destinationRegister: NFT_REG_VERDICT,
        }),
      ];
    case "sourceNotOfInterface":
      return sourceNotOfInterface(statement.family, statement.set);
    case "flowSourceOfInterface":
      return flowSourceOfInterface(statement);
    case "addressMap":
      return [
        ...loadAddress(statement.family, statement.end),
        lookup({
          set: statement.map,
          sourceRegister: NFT_REG_1,
          destinationRegister: NFT_REG_VERDICT,
        }),
      ];
    case "icmpv6Type":
      return icmpv6Type(statement.first, statement.last);
    case "destinationLoopback":
      return destinationLoopback();
    case "sourceNotLinkLocal":
      return sourceNotLinkLocal();
    case "sourceNotUnspecified":
      return [
        ...loadAddress(6, "source"),
        cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_NEQ, value: new Uint8Array(16) }),
      ];
    case "sourceLocal":
      return [
        fib({
          result: NFT_FIB_RESULT_ADDRTYPE,
          flags: NFTA_FIB_F_SADDR,
          destinationRegister: NFT_REG_1,
        }),
        equal(hostBytes(RTN_LOCAL)),
      ];
    case "limitOver":
      return [limit({ rate: statement.perSecond, burst: statement.burst, over: true })];
    case "ctState":
      return ctState(statement.states);
    case "ctStateMap":
      return [
        ct({ key: NFT_CT_STATE, destinationRegister: NFT_REG_1 }),
        lookup({
          set: statement.map,
          sourceRegister: NFT_REG_1,
          destinationRegister: NFT_REG_VERDICT,
        }),
      ];
    case "flowIsCut":
      return anyBit(NFT_CT_STATUS, IPS_FIXED_TIMEOUT);
    case "family":
      return matchFamily(statement.family);
    case "addressInSet":
      return [
        ...loadAddress(statement.family, statement.end),
        lookup({ set: statement.set, sourceRegister: NFT_REG_1 }),
      ];
    case "protocol":
      return matchProtocol(statement.protocol);
    case "port":
      return [
        ...matchProtocol(statement.protocol),
        loadPort(NFT_REG_1),
        matchPort(statement.range),
      ];
    case "portInSet":
      return [
        ...matchProtocol(statement.protocol),
        loadPort(NFT_REG_1),
        lookup({ set: statement.set, sourceRegister: NFT_REG_1 }),
      ];
    case "endsNotInSet":
      return endsNotInSet(statement.family, statement.set);
    case "addressPortInSet":
      return addressPortInSet(statement.family, statement.set);
    case "counter":
      return [counter()];
    case "reject":
      return [
        statement.with === "tcpReset"
          ? reject({ type: NFT_REJECT_TCP_RST })
          : reject({ type: NFT_REJECT_ICMPX_UNREACH, code: NFT_REJECT_ICMPX_ADMIN_PROHIBITED }),
      ];
    case "verdict":
      return [immediate({ verdict: encodeVerdict(statement.verdict) })];
  }
}

function loadInterface(end: "in" | "out"): Expression {
  const key = end === "in" ? NFT_META_IIFNAME : NFT_META_OIFNAME;
  return meta({ key, destinationRegister: NFT_REG_1 });
}

function equal(value: Uint8Array): Expression {
  return cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_EQ, value });
}

/** In an inet table the other family's packets have other bytes at the same place. */
function matchFamily(family: Family): readonly Expression[] {
  return [
    meta({ key: NFT_META_NFPROTO, destinationRegister: NFT_REG_1 }),
    equal(Uint8Array.of(family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6)),
  ];
}

/** Bytes of the network header. */
function loadNetwork(offset: number, length: number, destinationRegister: number): Expression {
  return payload({ base: NFT_PAYLOAD_NETWORK_HEADER, offset, length, destinationRegister });
}

/** Guarded by the family, into the first register. */
function loadAddress(family: Family, end: "source" | "destination"): readonly Expression[] {
  const { length, ...offsets } = ADDRESS_FIELDS[family];
  return [
    ...matchFamily(family),
    loadNetwork(offsets[end], length, NFT_REG_1),
  ];
}

/** Interface name and source address side by side: 16 bytes of each, or 16 and 4. */
function sourceNotOfInterface(family: Family, set: string): readonly Expression[] {
  const { source, length } = ADDRESS_FIELDS[family];
  return [
    ...matchFamily(family),
    loadInterface("in"),
    loadNetwork(source, length, NFT_REG_2),
    lookup({ set, sourceRegister: NFT_REG_1, inverted: true }),
  ];
}

/** Source and destination address side by side. */
function endsNotInSet(family: Family, set: string): readonly Expression[] {
  const { destination, length } = ADDRESS_FIELDS[family];
  return [
    ...loadAddress(family, "source"),
    loadNetwork(destination, length, family === 4 ? NFT_REG32_00 + 1 : NFT_REG_2),
    lookup({ set, sourceRegister: NFT_REG_1, inverted: true }),
  ];
}

/** Interface name and source of one way of the packet's flow, as conntrack has it. */
function flowSourceOfInterface(
  { family, way, set }: Extract<Statement, { readonly kind: "flowSourceOfInterface" }>,
): readonly Expression[] {
  return [
    loadInterface("in"),
    ct({
      key: family === 4 ? NFT_CT_SRC_IP : NFT_CT_SRC_IP6, // Linux 4.17
      direction: way === "original" ? IP_CT_DIR_ORIGINAL : IP_CT_DIR_REPLY,
      destinationRegister: NFT_REG_2,
    }),
    lookup({ set, sourceRegister: NFT_REG_1 }),
  ];
}

/** 127.0.0.0/8: the first byte says it. */
function destinationLoopback(): readonly Expression[] {
  return [
    ...matchFamily(4),
    loadNetwork(ADDRESS_FIELDS[4].destination, 1, NFT_REG_1),
    equal(Uint8Array.of(127)),
  ];
}

/** fe80::/10: its bits, and which of them count. */
const LINK_LOCAL = {
  value: Uint8Array.of(0xfe, 0x80, ...new Uint8Array(14)),
  mask: Uint8Array.of(0xff, 0xc0, ...new Uint8Array(14)),
};

function sourceNotLinkLocal(): readonly Expression[] {
  return [
    ...loadAddress(6, "source"),
    bitwise({
      sourceRegister: NFT_REG_1,
      destinationRegister: NFT_REG_1,
      mask: LINK_LOCAL.mask,
    }),
    cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_NEQ, value: LINK_LOCAL.value }),
  ];
}

/** Types `first` to `last` of <netinet/icmp6.h>. */
function icmpv6Type(first: number, last: number): readonly Expression[] {
  const isOne = first === last;
  return [
    meta({ key: NFT_META_L4PROTO, destinationRegister: NFT_REG_1 }),
    equal(Uint8Array.of(IPPROTO_ICMPV6)),
    payload({
      base: NFT_PAYLOAD_TRANSPORT_HEADER,
      offset: 0,
      length: 1,
      destinationRegister: NFT_REG_1,
    }),
    isOne ? equal(Uint8Array.of(first)) : range({
      sourceRegister: NFT_REG_1,
      operator: NFT_RANGE_EQ,
      from: Uint8Array.of(first),
      to: Uint8Array.of(last),
    }),
  ];
}

function matchProtocol(protocol: Protocol): readonly Expression[] {
  return [
    meta({ key: NFT_META_L4PROTO, destinationRegister: NFT_REG_1 }),
    equal(Uint8Array.of(PROTOCOL_NUMBERS[protocol])),
  ];
}

function loadPort(destinationRegister: number): Expression {
  return payload({
    base: NFT_PAYLOAD_TRANSPORT_HEADER,
    offset: PORT_OFFSET,
    length: 2,
    destinationRegister,
  });
}

function matchPort({ first, last }: { readonly first: number; readonly last: number }): Expression {
  if (first === last) return equal(portBytes(first));
  return range({
    sourceRegister: NFT_REG_1,
    operator: NFT_RANGE_EQ,
    from: portBytes(first),
    to: portBytes(last),
  });
}

/** A state as `ct state` loads it: a packet is in one of them. */
export function ctStateBytes(state: CtState): Uint8Array {
  return hostBytes(CT_STATES[state]);
}

function ctState(states: readonly CtState[]): readonly Expression[] {
  return anyBit(NFT_CT_STATE, states.reduce((bits, state) => bits | CT_STATES[state], 0));
}

/** Whether one of the bits in `mask` is set. */
function anyBit(key: number, mask: number): readonly Expression[] {
  return [
    ct({ key, destinationRegister: NFT_REG_1 }),
    bitwise({ sourceRegister: NFT_REG_1, destinationRegister: NFT_REG_1, mask: hostBytes(mask) }),
    cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_NEQ, value: hostBytes(0) }),
  ];
}

/** Address, protocol and port side by side in the 4-byte registers, as the set's key has them. */
function addressPortInSet(family: Family, set: string): readonly Expression[] {
  const { destination, length } = ADDRESS_FIELDS[family];
  const protocolRegister = NFT_REG32_00 + length / 4;
  return [
    ...matchFamily(family),
    loadNetwork(destination, length, NFT_REG_1),
    meta({ key: NFT_META_L4PROTO, destinationRegister: protocolRegister }),
    loadPort(protocolRegister + 1),
    lookup({ set, sourceRegister: NFT_REG_1 }),
  ];
}

/** A port in network order. */
export function portBytes(port: number): Uint8Array {
  assert(port >= 0 && port <= 0xffff, "A port has 16 bits");
  return Uint8Array.of(port >> 8, port & 0xff);
}

function hostBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, HOST_IS_LITTLE_ENDIAN);
  return bytes;
}
