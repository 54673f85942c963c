/** Elements of our sets and maps: their keys as bytes, and the set's definition around them. */

import { Address, bitsOf, type Family } from "../ip/address.ts";
import { bytesOfValue } from "../ip/address_text.ts";
import type { AddressRange } from "../ip/range.ts";
import type { Member } from "../model/member_set.ts";
import { PROTOCOL_NUMBERS } from "../model/workload.ts";
import { type Element, NFT_SET_ELEM_INTERVAL_END } from "../netlink/nftables/element.ts";
import { rangeElements } from "../netlink/nftables/interval.ts";
import { NFT_DATA_VERDICT } from "../netlink/nftables/data.ts";
import type { NewSet } from "../netlink/nftables/set.ts";
import {
  concatType,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  TYPE_CT_STATE,
  TYPE_IFNAME,
  TYPE_INET_PROTOCOL,
  TYPE_INET_SERVICE,
  TYPE_IP6ADDR,
  TYPE_IPADDR,
} from "../netlink/nftables/set.ts";
import type { NamedSet, SetType } from "./ruleset.ts";
import { type CtState, ctStateBytes, portBytes } from "./statement/expressions.ts";
import { encodeVerdict } from "./statement/verdict.ts";

/** IFNAMSIZ: names are padded to it. */
const IFNAMSIZ = 16;

/** A set's definition in the kernel: key, data, flags and tag. */
export type SetDefinition = Pick<
  NewSet,
  "flags" | "keyType" | "keyLength" | "keyByteOrder" | "dataType" | "dataLength" | "description"
>;

/** The definition of a set of `type`. */
export function definitionOf(type: SetType): SetDefinition {
  switch (type.key) {
    case "ifname":
      return {
        flags: type.isMap ? NFT_SET_MAP : 0,
        keyType: TYPE_IFNAME,
        keyLength: IFNAMSIZ,
        keyByteOrder: "host",
        ...(type.isMap ? { dataType: NFT_DATA_VERDICT, dataLength: 0 } : {}),
      };
    case "ifnameAddress":
      return {
        flags: 0,
        keyType: concatType(TYPE_IFNAME, addressType(type.family)),
        keyLength: IFNAMSIZ + bitsOf(type.family) / 8,
      };
    case "ctState":
      return {
        flags: NFT_SET_MAP,
        keyType: TYPE_CT_STATE,
        keyLength: 4,
        keyByteOrder: "host",
        dataType: NFT_DATA_VERDICT,
        dataLength: 0,
      };
    case "address":
      return {
        flags: (type.isInterval ? NFT_SET_INTERVAL : 0) | (type.isMap ? NFT_SET_MAP : 0),
        keyType: addressType(type.family),
        keyLength: bitsOf(type.family) / 8,
        keyByteOrder: "network",
        ...(type.isMap ? { dataType: NFT_DATA_VERDICT, dataLength: 0 } : {}),
      };
    case "addressPair":
      return {
        flags: 0,
        keyType: concatType(addressType(type.family), addressType(type.family)),
        keyLength: 2 * bitsOf(type.family) / 8,
      };
    case "addressPort":
      return {
        flags: 0,
        keyType: concatType(addressType(type.family), TYPE_INET_PROTOCOL, TYPE_INET_SERVICE),
        keyLength: bitsOf(type.family) / 8 + 8,
      };
    case "port":
      return {
        flags: NFT_SET_INTERVAL,
        keyType: TYPE_INET_SERVICE,
        keyLength: 2,
        keyByteOrder: "network",
      };
  }
}

/** Every element that `set` should have now. */
export function elementsOf(set: NamedSet): readonly Element[] {
  const elements = iterateElements(set);
  return Array.isArray(elements) ? elements : [...elements];
}

/** The same as a generator: a set of ranges may have 100,000 elements. */
export function iterateElements(set: NamedSet): Iterable<Element> {
  const { elements } = set;
  switch (elements.kind) {
    case "names":
      return [...elements.names].map(([name, { verdict, comment }]) => ({
        key: nameKey(set.type, name),
        comment,
        ...(verdict === undefined ? {} : { data: { verdict: encodeVerdict(verdict) } }),
      }));
    case "ports":
      return rangeElements(
        elements.ranges.values().map(({ first, last }) => ({
          first: portBytes(first),
          last: portBytes(last),
        })),
      );
    case "ranges":
      return set.type.key === "address" ? addressElements(set.type.family, elements.ranges) : [];
    case "members":
      return memberElements(set.type, elements.members.members());
  }
}

/** What `rangeElements()` makes of address ranges. */
function* addressElements(
  family: Family,
  ranges: readonly AddressRange[],
): Generator<Element> {
  const bits = bitsOf(family);
  const greatest = (1n << BigInt(bits)) - 1n;
  for (const { first, last } of ranges) {
    const key = bytesOfValue(bits, first);
    if (last === greatest) {
      yield { key, isOpen: true };
    } else {
      yield { key };
      yield { key: bytesOfValue(bits, last + 1n), flags: NFT_SET_ELEM_INTERVAL_END };
    }
  }
}

/** The elements of those `members` that are of the set's family. */
export function memberElements(type: SetType, members: Iterable<Member>): readonly Element[] {
  if (type.key !== "address" && type.key !== "addressPort") return [];
  const elements: Element[] = [];
  for (const member of members) {
    if (member.family === type.family) elements.push({ key: memberKey(member) });
  }
  return elements;
}

/** The id of an element: equal for elements of one set with equal keys. */
export function elementId(element: Element): string {
  const end = ((element.flags ?? 0) & NFT_SET_ELEM_INTERVAL_END) !== 0 ? "!" : "";
  return element.key.toHex() + end;
}

/** An element with the key of this id: enough to delete it. */
export function elementOfId(id: string): Element {
  return id.endsWith("!")
    ? { key: Uint8Array.fromHex(id.slice(0, -1)), flags: NFT_SET_ELEM_INTERVAL_END }
    : { key: Uint8Array.fromHex(id) };
}

/** An element's content beside its key: verdict and comment. */
export function elementContent({ data, comment }: Element): string {
  const verdict = data?.verdict;
  return `${verdict?.code ?? ""} ${verdict?.chain ?? ""} ${comment ?? ""}`;
}

/** An interface name, a state, an address, `name,address`, or `address,address`. */
function nameKey(type: SetType, name: string): Uint8Array {
  if (type.key === "ctState") return ctStateBytes(name as CtState);
  if (type.key === "address") return Address.parse(name).bytes;
  if (type.key === "addressPair") {
    return Uint8Array.from(name.split(",").flatMap((it) => [...Address.parse(it).bytes]));
  }
  const [interfaceName = "", address] = name.split(",");
  const tail = address === undefined ? new Uint8Array(0) : Address.parse(address).bytes;
  const key = new Uint8Array(IFNAMSIZ + tail.length);
  new TextEncoder().encodeInto(interfaceName, key.subarray(0, IFNAMSIZ));
  key.set(tail, IFNAMSIZ);
  return key;
}

/** An address, or address, protocol number and port with each field padded to 4 bytes. */
function memberKey(member: Member): Uint8Array {
  if (member instanceof Address) return member.bytes;
  const { address, protocol, port } = member;
  const { bytes } = address;
  const key = new Uint8Array(bytes.length + 8);
  key.set(bytes);
  key[bytes.length] = PROTOCOL_NUMBERS[protocol];
  key.set(portBytes(port), bytes.length + 4);
  return key;
}

function addressType(family: Family): number {
  return family === 4 ? TYPE_IPADDR : TYPE_IP6ADDR;
}
