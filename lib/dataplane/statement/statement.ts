/**
 * What a rule is made of. One row is one statement: what it needs, how nft(8) writes it, and the
 * expressions that it is in the kernel. A new statement is a new row.
 */

import type { Family } from "../../ip/address.ts";
import type { PortRange } from "../../model/policy.ts";
import { type Protocol, PROTOCOL_NUMBERS } from "../../model/workload.ts";
import { IPS_FIXED_TIMEOUT } from "../../netlink/conntrack/message.ts";
import { NFT_REG32_00, NFT_REG_1, NFT_REG_2 } from "../../netlink/nftables/data.ts";
import {
  bitwise,
  counter,
  ct,
  type Expression,
  fib,
  immediate,
  limit,
  meta,
  payload,
  reject,
} from "../../netlink/nftables/expression.ts";
import {
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  NFT_CT_SRC_IP,
  NFT_CT_SRC_IP6,
  NFT_CT_STATE,
  NFT_CT_STATUS,
  NFT_FIB_RESULT_ADDRTYPE,
  NFT_META_L4PROTO,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_REJECT_ICMPX_ADMIN_PROHIBITED,
  NFT_REJECT_ICMPX_UNREACH,
  NFT_REJECT_TCP_RST,
  NFTA_FIB_F_SADDR,
} from "../../netlink/nftables/expression_attributes.ts";
import {
  ADDRESS_FIELDS,
  type AddressEnd,
  anyBit,
  between,
  type CtState,
  ctStateMask,
  equal,
  hostBytes,
  type InterfaceEnd,
  isIn,
  isNotIn,
  loadAddress,
  loadInterface,
  loadNetwork,
  loadPort,
  matchFamily,
  matchProtocol,
  notEqual,
  portBytes,
  verdictBy,
} from "./expressions.ts";
import { encodeVerdict, renderVerdict, type Verdict } from "./verdict.ts";

interface Row<T> {
  /** As nft(8) reads it. */
  readonly text: (statement: T) => string;
  readonly expressions: (statement: T) => readonly Expression[];
}

function row<T = unknown>(text: Row<T>["text"], expressions: Row<T>["expressions"]): Row<T> {
  return { text, expressions };
}

interface OfFamily {
  readonly family: Family;
}
interface OfSet {
  readonly set: string;
}
interface OfMap {
  readonly map: string;
}
interface OfInterface {
  readonly end: InterfaceEnd;
}
interface OfAddress extends OfFamily {
  readonly end: AddressEnd;
}
interface OfProtocol {
  readonly protocol: Protocol;
}

const IPPROTO_ICMPV6 = 58;
/** <linux/rtnetlink.h>. */
const RTN_LOCAL = 2;
/** The loopback interface's name, padded to IFNAMSIZ. */
const LOOPBACK = Uint8Array.of(0x6c, 0x6f, ...new Uint8Array(14));
/** fe80::/10: its bits, and which of them count. */
const LINK_LOCAL = {
  value: Uint8Array.of(0xfe, 0x80, ...new Uint8Array(14)),
  mask: Uint8Array.of(0xff, 0xc0, ...new Uint8Array(14)),
};

const ROWS = {
  /** Names that begin so. */
  interfacePrefix: row<OfInterface & { readonly prefix: string }>(
    ({ end, prefix }) => `${interfaceKey(end)} "${prefix}*"`,
    ({ end, prefix }) => [loadInterface(end), equal(new TextEncoder().encode(prefix))],
  ),
  interfaceNotLoopback: row(
    () => 'iifname != "lo"',
    () => [loadInterface("in"), notEqual(LOOPBACK)],
  ),
  interfaceNotInSet: row<OfInterface & OfSet>(
    ({ end, set }) => `${interfaceKey(end)} != @${set}`,
    ({ end, set }) => [loadInterface(end), isNotIn(set)],
  ),
  interfaceMap: row<OfInterface & OfMap>(
    ({ end, map }) => `${interfaceKey(end)} vmap @${map}`,
    ({ end, map }) => [loadInterface(end), verdictBy(map)],
  ),
  /** Interface name and source address side by side: 16 bytes of each, or 16 and 4. */
  sourceNotOfInterface: row<OfFamily & OfSet>(
    ({ family, set }) => `meta nfproto ipv${family} iifname . ${network(family)} saddr != @${set}`,
    ({ family, set }) => [
      ...matchFamily(family),
      loadInterface("in"),
      loadNetwork(ADDRESS_FIELDS[family].source, ADDRESS_FIELDS[family].length, NFT_REG_2),
      isNotIn(set),
    ],
  ),
  /** Interface name and source of one way of the packet's flow, as conntrack has it. */
  flowSourceOfInterface: row<OfFamily & OfSet & { readonly way: "original" | "reply" }>(
    ({ family, way, set }) => `iifname . ct ${way} ${network(family)} saddr @${set}`,
    ({ family, way, set }) => [
      loadInterface("in"),
      ct({
        key: family === 4 ? NFT_CT_SRC_IP : NFT_CT_SRC_IP6, // Linux 4.17
        direction: way === "original" ? IP_CT_DIR_ORIGINAL : IP_CT_DIR_REPLY,
        destinationRegister: NFT_REG_2,
      }),
      isIn(set),
    ],
  ),
  addressMap: row<OfAddress & OfMap>(
    ({ end, family, map }) => `${network(family)} ${addressKey(end)} vmap @${map}`,
    ({ end, family, map }) => [...loadAddress(family, end), verdictBy(map)],
  ),
  addressInSet: row<OfAddress & OfSet>(
    ({ end, family, set }) => `${network(family)} ${addressKey(end)} @${set}`,
    ({ end, family, set }) => [...loadAddress(family, end), isIn(set)],
  ),
  /** Source and destination address side by side. */
  endsNotInSet: row<OfFamily & OfSet>(
    ({ family, set }) => `${network(family)} saddr . ${network(family)} daddr != @${set}`,
    ({ family, set }) => {
      const { destination, length } = ADDRESS_FIELDS[family];
      const second = family === 4 ? NFT_REG32_00 + 1 : NFT_REG_2;
      return [
        ...loadAddress(family, "source"),
        loadNetwork(destination, length, second),
        isNotIn(set),
      ];
    },
  ),
  /** Address, protocol and port side by side in the 4-byte registers, as the set's key has them. */
  addressPortInSet: row<OfFamily & OfSet>(
    ({ family, set }) => `${network(family)} daddr . meta l4proto . th dport @${set}`,
    ({ family, set }) => {
      const { destination, length } = ADDRESS_FIELDS[family];
      const protocolRegister = NFT_REG32_00 + length / 4;
      return [
        ...matchFamily(family),
        loadNetwork(destination, length, NFT_REG_1),
        meta({ key: NFT_META_L4PROTO, destinationRegister: protocolRegister }),
        loadPort(protocolRegister + 1),
        isIn(set),
      ];
    },
  ),
  /** 127.0.0.0/8: the first byte says it. */
  destinationLoopback: row(
    () => "ip daddr 127.0.0.0/8",
    () => [
      ...matchFamily(4),
      loadNetwork(ADDRESS_FIELDS[4].destination, 1, NFT_REG_1),
      equal(Uint8Array.of(127)),
    ],
  ),
  sourceNotLinkLocal: row(
    () => "ip6 saddr != fe80::/10",
    () => [
      ...loadAddress(6, "source"),
      bitwise({
        sourceRegister: NFT_REG_1,
        destinationRegister: NFT_REG_1,
        mask: LINK_LOCAL.mask,
      }),
      notEqual(LINK_LOCAL.value),
    ],
  ),
  sourceNotUnspecified: row(
    () => "ip6 saddr != ::",
    () => [...loadAddress(6, "source"), notEqual(new Uint8Array(16))],
  ),
  /** This host sent the packet. */
  sourceLocal: row(
    () => "fib saddr type local",
    () => [
      fib({
        result: NFT_FIB_RESULT_ADDRTYPE,
        flags: NFTA_FIB_F_SADDR,
        destinationRegister: NFT_REG_1,
      }),
      equal(hostBytes(RTN_LOCAL)),
    ],
  ),
  limitOver: row<{ readonly perSecond: number; readonly burst: number }>(
    ({ perSecond, burst }) => `limit rate over ${perSecond}/second burst ${burst} packets`,
    ({ perSecond, burst }) => [limit({ rate: perSecond, burst, over: true })],
  ),
  ctState: row<{ readonly states: readonly CtState[] }>(
    ({ states }) => `ct state ${states.join(",")}`,
    ({ states }) => anyBit(NFT_CT_STATE, ctStateMask(states)),
  ),
  ctStateMap: row<OfMap>(
    ({ map }) => `ct state vmap @${map}`,
    ({ map }) => [ct({ key: NFT_CT_STATE, destinationRegister: NFT_REG_1 }), verdictBy(map)],
  ),
  /** The agent has cut the packet's flow (IPS_FIXED_TIMEOUT). */
  flowIsCut: row(
    () => `ct status 0x${IPS_FIXED_TIMEOUT.toString(16)}`,
    () => anyBit(NFT_CT_STATUS, IPS_FIXED_TIMEOUT),
  ),
  /** Types `first` to `last` of <netinet/icmp6.h>. */
  icmpv6Type: row<PortRange>(
    (types) => `icmpv6 type ${renderNumbers(types)}`,
    ({ first, last }) => [
      meta({ key: NFT_META_L4PROTO, destinationRegister: NFT_REG_1 }),
      equal(Uint8Array.of(IPPROTO_ICMPV6)),
      payload({
        base: NFT_PAYLOAD_TRANSPORT_HEADER,
        offset: 0,
        length: 1,
        destinationRegister: NFT_REG_1,
      }),
      between(Uint8Array.of(first), Uint8Array.of(last)),
    ],
  ),
  protocol: row<OfProtocol>(
    ({ protocol }) => `meta l4proto ${PROTOCOL_NUMBERS[protocol]}`,
    ({ protocol }) => matchProtocol(protocol),
  ),
  port: row<OfProtocol & { readonly range: PortRange }>(
    ({ protocol, range }) => `${protocol.toLowerCase()} dport ${renderNumbers(range)}`,
    ({ protocol, range }) => [
      ...matchProtocol(protocol),
      loadPort(NFT_REG_1),
      between(portBytes(range.first), portBytes(range.last)),
    ],
  ),
  portInSet: row<OfProtocol & OfSet>(
    ({ protocol, set }) => `${protocol.toLowerCase()} dport @${set}`,
    ({ protocol, set }) => [...matchProtocol(protocol), loadPort(NFT_REG_1), isIn(set)],
  ),
  counter: row(() => "counter", () => [counter()]),
  /** A reset for TCP, an ICMP error for the rest. */
  reject: row<{ readonly with: "tcpReset" | "adminProhibited" }>(
    (it) => it.with === "tcpReset" ? "reject with tcp reset" : "reject with icmpx admin-prohibited",
    (it) => [
      it.with === "tcpReset"
        ? reject({ type: NFT_REJECT_TCP_RST })
        : reject({ type: NFT_REJECT_ICMPX_UNREACH, code: NFT_REJECT_ICMPX_ADMIN_PROHIBITED }),
    ],
  ),
  verdict: row<{ readonly verdict: Verdict }>(
    ({ verdict }) => renderVerdict(verdict),
    ({ verdict }) => [immediate({ verdict: encodeVerdict(verdict) })],
  ),
};

type Kind = keyof typeof ROWS;
type ArgumentsOf<R> = R extends Row<infer T> ? unknown extends T ? object : T : never;
type OfKind<K extends Kind> = { readonly kind: K } & ArgumentsOf<typeof ROWS[K]>;

/** One match or action of a rule. */
export type Statement = { [K in Kind]: OfKind<K> }[Kind];

/** A statement as nft(8) reads it. */
export function renderStatement(statement: Statement): string {
  return rowOf(statement).text(statement);
}

/** A statement as the kernel has it, in order. */
export function encodeStatement(statement: Statement): readonly Expression[] {
  return rowOf(statement).expressions(statement);
}

/** The row takes what statements of its kind have: that is how their type is made. */
function rowOf(statement: Statement): Row<Statement> {
  return ROWS[statement.kind] as Row<Statement>;
}

/** Numbers as nft(8) writes them: `80`, `80-90`. */
export function renderNumbers({ first, last }: PortRange): string {
  return first === last ? `${first}` : `${first}-${last}`;
}

function interfaceKey(end: InterfaceEnd): string {
  return end === "in" ? "iifname" : "oifname";
}

function addressKey(end: AddressEnd): string {
  return end === "source" ? "saddr" : "daddr";
}

function network(family: Family): string {
  return family === 4 ? "ip" : "ip6";
}
