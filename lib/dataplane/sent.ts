/**
 * What the kernel has of our table, as far as it matters for what to send next: read from it at first,
 * then what we sent.
 */

import type { Chain, NamedSet, Ruleset } from "./ruleset.ts";

/** What the kernel has: read from it at first, then what we sent. */
export interface Sent {
  readonly chains: ReadonlyMap<string, SentChain>;
  readonly sets: ReadonlyMap<string, SentSet>;
  /** The ruleset that it is, if that was sent: what changed since need alone be compared. */
  readonly ruleset?: Ruleset;
}

/** What a difference makes of the entries of `Sent`; `undefined`: the entry goes. */
export type SentChanges<T> = Map<string, T | undefined>;

/** `before` with the changes: a new map. */
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
  /** The chain that we sent: the same object again needs no look inside. */
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
