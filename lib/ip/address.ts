/**
 * An IP address as a value. Parsing is strict, over ipaddr.js: four decimal parts without leading
 * zeros for IPv4, RFC 4291 text without a zone for IPv6; an IPv4-mapped IPv6 address stays IPv6.
 */

import ipaddr from "ipaddr.js";
import { assert } from "../base/assert.ts";
import type { Bytes } from "../base/bytes.ts";

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
    return new Address(...parseParts(text));
  }

  /** Like {@link Address.parse}, with `undefined` for text that is no address. */
  static tryParse(text: string): Address | undefined {
    try {
      return Address.parse(text);
    } catch {
      return undefined;
    }
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
    const bytes = new Uint8Array(bitsOf(this.family) / 8);
    let value = this.value;
    for (let i = bytes.length - 1; i >= 0; i--) {
      bytes[i] = Number(value & 0xffn);
      value >>= 8n;
    }
    return bytes;
  }

  /** Canonical text. */
  toString(): string {
    if (this.#text !== undefined) return this.#text;
    const bytes = Array.from(this.bytes);
    this.#text = this.family === 4 ? bytes.join(".") : new ipaddr.IPv6(bytes).toRFC5952String();
    return this.#text;
  }

  /** JSON shows the text. */
  toJSON(): string {
    return this.toString();
  }
}

/** Orders by family, then by number. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
}

const IPV4_REGEXP = /^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){3}$/;

function parseParts(text: string): [Family, bigint] {
  if (IPV4_REGEXP.test(text)) {
    const parts = text.split(".").map(Number);
    if (parts.every((it) => it <= 255)) {
      return [4, parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n)];
    }
  } else if (text.includes(":") && !text.includes("%") && hasStrictTail(text)) {
    const groups = withoutDots(text);
    if (ipaddr.IPv6.isValid(groups)) {
      const bytes = ipaddr.IPv6.parse(groups).toByteArray();
      return [6, bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)];
    }
  }
  throw new SyntaxError(`Cannot parse IP address "${text}"`);
}

/** ipaddr.js takes `::ffff:010.1.1.1`; the dotted tail must be as strict as an IPv4 address. */
function hasStrictTail(text: string): boolean {
  const tail = text.slice(text.lastIndexOf(":") + 1);
  return /^[0-9a-fA-F:.]+$/.test(text) && (!text.includes(".") || IPV4_REGEXP.test(tail));
}

/** The dotted tail as two groups: ipaddr.js takes `::1.2.3.4` for `::ffff:1.2.3.4`. */
function withoutDots(text: string): string {
  return text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: readonly string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    // A part that is too large makes a group that is: the whole is refused.
    if ([a, b, c, d].some((it) => it > 255)) return "x";
    return `${(a << 8 | b).toString(16)}:${(c << 8 | d).toString(16)}`;
  });
}
