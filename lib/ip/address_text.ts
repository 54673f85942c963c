/**
 * Addresses as text and as bytes, without an object between: a policy may have 50,000 of them. What a
 * plain spelling is not is left to ipaddr.js. Which texts are addresses `address.ts` says.
 */

import ipaddr from "ipaddr.js";
import type { Bytes } from "../base/bytes.ts";

const DOT = 0x2e;
const COLON = 0x3a;
const ZERO = 0x30;
const GROUPS = 8;

/** Four decimal parts without leading zeros, as a number; `undefined` for any other text. */
export function parseIpv4(text: string): number | undefined {
  if (text.length > 15) return undefined;
  let [value, part, digits, dots] = [0, 0, 0, 0];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (digits === 0 || ++dots > 3) return undefined;
      value = value * 256 + part;
      part = digits = 0;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || (digits > 0 && part === 0)) return undefined;
    part = part * 10 + digit;
    digits++;
    if (part > 255) return undefined;
  }
  return digits > 0 && dots === 3 ? value * 256 + part : undefined;
}

/** RFC 4291 text without a zone, as a number; `undefined` for any other text. */
export function parseIpv6(text: string): bigint | undefined {
  return parseGroups(text) ?? parseWithLibrary(text);
}

const scratch = new DataView(new ArrayBuffer(16));

/** Groups of hexadecimal digits, at most once with `::` for two groups or more; `undefined` for the rest. */
function parseGroups(text: string): bigint | undefined {
  if (text.length > 39) return undefined;
  const groups: number[] = [];
  let [group, digits, gap] = [0, 0, -1];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== COLON) {
      const digit = hexDigit(code);
      if (digit < 0 || ++digits > 4) return undefined;
      group = group * 16 + digit;
      continue;
    }
    const isDouble = text.charCodeAt(i + 1) === COLON;
    if (digits === 0 && (i > 0 || !isDouble)) return undefined;
    if (digits > 0) groups.push(group);
    group = digits = 0;
    if (isDouble && gap >= 0) return undefined;
    if (isDouble) gap = groups.length;
    if (isDouble) i++;
    else if (i === text.length - 1) return undefined;
  }
  if (digits > 0) groups.push(group);
  if (gap < 0 ? groups.length !== GROUPS : groups.length > GROUPS - 2) return undefined;
  const skipped = GROUPS - groups.length;
  for (let i = 0; i < GROUPS; i++) {
    const isHead = gap < 0 || i < gap;
    const value = isHead ? groups[i] : i < gap + skipped ? 0 : groups[i - skipped];
    scratch.setUint16(2 * i, value ?? 0);
  }
  return (scratch.getBigUint64(0) << 64n) | scratch.getBigUint64(8);
}

function hexDigit(code: number): number {
  const digit = code - ZERO;
  if (digit >= 0 && digit <= 9) return digit;
  const letter = (code | 0x20) - 0x61; // both cases
  return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

function parseWithLibrary(text: string): bigint | undefined {
  if (!text.includes(":") || text.includes("%") || !hasStrictTail(text)) return undefined;
  const groups = withoutDots(text);
  if (!ipaddr.IPv6.isValid(groups)) return undefined;
  const bytes = ipaddr.IPv6.parse(groups).toByteArray();
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** ipaddr.js takes `::ffff:010.1.1.1`; the dotted tail must be as strict as an IPv4 address. */
function hasStrictTail(text: string): boolean {
  const tail = text.slice(text.lastIndexOf(":") + 1);
  return /^[0-9a-fA-F:.]+$/.test(text) &&
    (!text.includes(".") || parseIpv4(tail) !== undefined);
}

/** The dotted tail as two groups: ipaddr.js takes `::1.2.3.4` for `::ffff:1.2.3.4`. */
function withoutDots(text: string): string {
  const start = text.lastIndexOf(":") + 1;
  const value = parseIpv4(text.slice(start));
  if (value === undefined) return text;
  return `${text.slice(0, start)}${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;
}

/** The canonical text (RFC 5952) of an address of 4 or of 16 bytes. */
export function formatBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i] ?? 0) << 8 | (bytes[i + 1] ?? 0));
  const { start, length } = longestZeros(groups);
  const join = (part: readonly number[]): string => part.map((it) => it.toString(16)).join(":");
  if (length < 2) return join(groups);
  return `${join(groups.slice(0, start))}::${join(groups.slice(start + length))}`;
}

/** The first of the longest runs of zeros. */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  const longest = { start: 0, length: 0 };
  let length = 0;
  groups.forEach((group, index) => {
    length = group === 0 ? length + 1 : 0;
    if (length > longest.length) Object.assign(longest, { start: index - length + 1, length });
  });
  return longest;
}

/** The 4 or 16 bytes, in network order, of an address of so many bits. */
export function bytesOfValue(bits: 32 | 128, value: bigint): Bytes {
  const bytes = new Uint8Array(bits / 8);
  if (bits === 32) {
    const number = Number(value);
    bytes[0] = number >>> 24;
    bytes[1] = number >>> 16;
    bytes[2] = number >>> 8;
    bytes[3] = number;
  } else {
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, value >> 64n);
    view.setBigUint64(8, BigInt.asUintN(64, value));
  }
  return bytes;
}
