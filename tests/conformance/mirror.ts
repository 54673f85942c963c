/**
 * The same case over the other family: every IPv4 address has an IPv6 one that carries it in its last
 * 32 bits, and every IPv4 network the IPv6 network around the same hosts. What a case says of IPv4
 * must then hold of IPv6 too.
 */

import { Address, type Family } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { JsonObject } from "./json.ts";

/** Carries the IPv4 address in its last 32 bits. */
const MIRROR = Address.parse("fd00:ca17::").value;

/** The IPv6 address that stands for an IPv4 one; an IPv6 address stands for itself. */
export function mirrorAddress(text: string): string {
  const address = Address.parse(text);
  return String(address.family === 6 ? address : Address.of(6, MIRROR | address.value));
}

/**
 * The IPv6 network that holds the mirrored hosts of an IPv4 one; everything stays everything, and what
 * is no network stays what it is.
 */
export function mirrorPrefix(text: string): string {
  const prefix = Prefix.tryParse(text);
  if (prefix === undefined || prefix.address.family === 6) return text;
  const { address, length } = prefix;
  if (length === 0) return "::/0";
  return String(new Prefix(Address.parse(mirrorAddress(String(address))), 96 + length));
}

/**
 * A policy whose networks (`ipBlock`, `networks`) are of `family`, or with `undefined` of both: each
 * network followed by its mirror image. Networks that are IPv6 already stay as they are.
 */
export function mirrorPolicy(policy: JsonObject, family: Family | undefined): JsonObject {
  return family === 4 ? policy : mirrorFields(policy, family);
}

function mirrorFields(object: JsonObject, family: 6 | undefined): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => [
      name,
      name === "networks" && Array.isArray(value)
        ? twice(value, mirrorText, family)
        : mirrorValue(value, family),
    ]),
  );
}

function mirrorValue(value: unknown, family: 6 | undefined): unknown {
  if (Array.isArray(value)) {
    return value.flatMap((it) =>
      isBlock(it) ? twice([it], mirrorBlock, family) : [mirrorValue(it, family)]
    );
  }
  if (typeof value !== "object" || value === null) return value;
  return mirrorFields(value as JsonObject, family);
}

/** A peer with an `ipBlock`, whatever else it may have. */
interface Block {
  readonly ipBlock: JsonObject;
}

function isBlock(value: unknown): value is Block {
  return isObject(value) && isObject(value.ipBlock);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mirrorBlock(peer: Block): Block {
  const entries = Object.entries(peer.ipBlock).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(mirrorText) : mirrorText(value),
  ]);
  return { ...peer, ipBlock: Object.fromEntries(entries) };
}

function mirrorText(value: unknown): unknown {
  return typeof value === "string" ? mirrorPrefix(value) : value;
}

/** The images, or each item and then its image where that is another. */
function twice<T>(items: readonly T[], image: (item: T) => T, family: 6 | undefined): T[] {
  if (family === 6) return items.map(image);
  return items.flatMap((it) => {
    const other = image(it);
    return JSON.stringify(other) === JSON.stringify(it) ? [it] : [it, other];
  });
}
