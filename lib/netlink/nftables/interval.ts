/**
 * Ranges in interval sets of one field: the kernel keeps two elements a range, its first key and,
 * marked NFT_SET_ELEM_INTERVAL_END, the key after its last. Concatenations with ranges are different:
 * one element with `key` and `keyEnd`.
 */

import { type Element, NFT_SET_ELEM_INTERVAL_END } from "./element.ts";

/** Keys from `first` to `last`, both included; in network order. */
export interface KeyRange {
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/** The elements of disjoint ranges, ready to be added or deleted. */
export function* rangeElements(ranges: Iterable<KeyRange>): Generator<Element> {
  for (const { first, last } of ranges) {
    const end = successorOf(last);
    if (end === undefined) {
      yield { key: first, isOpen: true };
    } else {
      yield { key: first };
      yield { key: end, flags: NFT_SET_ELEM_INTERVAL_END };
    }
  }
}

/** The ranges that a dump's elements mean, in ascending order. */
export function parseRanges(elements: Iterable<Element>): KeyRange[] {
  const bounds = [...elements].sort(compareBounds);
  const ranges: KeyRange[] = [];
  let first: Uint8Array | undefined;
  for (const { key, flags = 0 } of bounds) {
    const isEnd = (flags & NFT_SET_ELEM_INTERVAL_END) !== 0;
    const last = predecessorOf(key);
    if (first !== undefined && last !== undefined) ranges.push({ first, last });
    first = isEnd ? undefined : key;
  }
  if (first !== undefined) ranges.push({ first, last: new Uint8Array(first.length).fill(0xff) });
  return ranges;
}

/** By key; an end comes before the range that begins there. */
function compareBounds(a: Element, b: Element): number {
  for (let i = 0; i < a.key.length; i++) {
    const difference = (a.key[i] ?? 0) - (b.key[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return (b.flags ?? 0) - (a.flags ?? 0);
}

/** The next key; `undefined` after the last one. */
function successorOf(key: Uint8Array): Uint8Array | undefined {
  const next = key.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = next[i] ?? 0;
    next[i] = (byte + 1) & 0xff;
    if (byte !== 0xff) return next;
  }
  return undefined;
}

/** The key before; `undefined` before the first one. */
function predecessorOf(key: Uint8Array): Uint8Array | undefined {
  const previous = key.slice();
  for (let i = previous.length - 1; i >= 0; i--) {
    const byte = previous[i] ?? 0;
    previous[i] = (byte - 1) & 0xff;
    if (byte !== 0) return previous;
  }
  return undefined;
}
