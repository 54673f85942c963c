/**
 * What the kernel has of our table, as far as it matters for what to send next: read from it at first,
 * then what we sent.
 */

import type { Chain, NamedSet } from "./ruleset.ts";

/** What the kernel has: read from it at first, then what we sent. */
export interface Sent {
  readonly chains: ReadonlyMap<string, SentChain>;
  readonly sets: ReadonlyMap<string, SentSet>;
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
