/**
 * An IP address as a value. Parsing is strict: four decimal parts without leading
 * zeros for IPv4, RFC 4291 text without a zone for IPv6; an IPv4-mapped IPv6 address stays IPv6.
 */

import { assert } from "../base/assert.ts";
import type { Bytes } from "../base/bytes.ts";
import { bytesOfValue, formatBytes, parseIpv4, parseIpv6 } from "./address_text.ts";

/** 4 or 6. */
export type Family = 4 | 6;

/** Both families, in the order in which everything is done for each. */
export const FAMILIES: readonly Family[] = [4, 6];

/** Number of bits of an address of `family`. */
export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** One IPv4 or IPv6 address; `text` is canonical (RFC 5952), so equal addresses have equal texts. */
export class Address {
  readonly family: Family;
  /** The address as an unsigned number, 32 or 128 bits. */
  readonly value: bigint;
  #text: string | undefined;

  private constructor(family: Family, value: bigint) {
    this.family = family;
    this.value = value;
  }

  /**
   * Parses an address.
   *
   * @throws {SyntaxError} if `text` is none
   */
  static parse(text: string): Address {
    const address = Address.tryParse(text);
    if (address === undefined) throw new SyntaxError(`Cannot parse IP address "${text}"`);
    return address;
  }

  /** Like {@link Address.parse}, with `undefined` for text that is no address. */
  static tryParse(text: string): Address | undefined {
    const ipv4 = parseIpv4(text);
    if (ipv4 !== undefined) return new Address(4, BigInt(ipv4));
    const ipv6 = parseIpv6(text);
    return ipv6 === undefined ? undefined : new Address(6, ipv6);
  }

  /** The address from its number. */
  static of(family: Family, value: bigint): Address {
    assert(value >= 0n && value >> BigInt(bitsOf(family)) === 0n, "Address out of range");
    return new Address(family, value);
  }

  /** The address from its 4 or 16 bytes in network order. */
  static fromBytes(bytes: Uint8Array): Address {
    assert(bytes.length === 4 || bytes.length === 16, "An address has 4 or 16 bytes");
    let value = 0n;
    for (const byte of bytes) value = (value << 8n) | BigInt(byte);
    return new Address(bytes.length === 4 ? 4 : 6, value);
  }

  /** Its 4 or 16 bytes in network order. */
  get bytes(): Bytes {
    return bytesOfValue(bitsOf(this.family), this.value);
  }

  /** Canonical text. */
  toString(): string {
    this.#text ??= this.format();
    return this.#text;
  }

  /** Canonical text without caching: for many addresses that are formatted once. */
  format(): string {
    return formatBytes(this.bytes);
  }

  /** JSON shows the text. */
  toJSON(): string {
    return this.toString();
  }
}

/** A copy in the order of the canonical texts: the one that texts in lists are printed in. */
export function sortedByText(addresses: Iterable<Address>): Address[] {
  return [...addresses].sort((a, b) => a.toString() < b.toString() ? -1 : 1);
}
