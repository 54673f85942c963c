/**
 * What the kernel has of our table, as far as it matters for what to send next: read from it at first,
 * then what we sent.
 */

import type { Chain, NamedSet, Ruleset } from "./ruleset.ts";

/** The kernel's state: read from it at first, then updated by what we sent. */
export interface Sent {
  readonly chains: ReadonlyMap<string, SentChain>;
  readonly sets: ReadonlyMap<string, SentSet>;
  /** The ruleset that was sent, if it was: then only later changes must be compared. */
  readonly ruleset?: Ruleset;
}

/** New values of entries of `Sent`; `undefined`: the entry is deleted. */
export type SentChanges<T> = Map<string, T | undefined>;

/** Returns a new map: `before` with the changes. */
export function applySentChanges<T>(
  before: ReadonlyMap<string, T>,
  changes: SentChanges<T>,
): ReadonlyMap<string, T> {
  if (changes.size === 0) return before;
  const after = new Map(before);
  for (const [name, value] of changes) {
    if (value === undefined) after.delete(name);
    else after.set(name, value);
  }
  return after;
}

/** A chain by what identifies it. */
export interface SentChain {
  /** Of a base chain: hook, priority, type and policy. */
  readonly hook: string | undefined;
  /** The tags of its rules, in order. */
  readonly tags: string;
  /** The chain that we sent: the same object need not be compared again. */
  readonly chain?: Chain;
}

/** A set by what identifies it, and its elements: listed by the kernel, or those of the set that we sent. */
export interface SentSet {
  readonly tag: string;
  readonly elements:
    | { readonly kind: "listed"; readonly contents: ReadonlyMap<string, string> }
    /** `revision`: of the members, where it has such. */
    | { readonly kind: "sent"; readonly set: NamedSet; readonly revision: number };
}
