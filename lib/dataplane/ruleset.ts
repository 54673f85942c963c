/**
 * The ruleset as a value: the table `inet calyx` with its chains, rules, sets and maps, in the words of
 * nft(8). Made by `compile/` of the rows in `statement/`, printed by `render.ts`, put into the kernel by
 * `diff.ts` and `apply.ts`.
 */

import type { Family } from "../ip/address.ts";
import type { AddressRange } from "../ip/range.ts";
import type { MemberSet } from "../model/member_set.ts";
import type { PortRange } from "../model/policy.ts";
import type { Statement } from "./statement/statement.ts";
import type { Verdict } from "./statement/verdict.ts";

/** The whole table; names are unique among chains, and among sets and maps. */
export interface Ruleset {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly sets: ReadonlyMap<string, NamedSet>;
  /** What changed since an earlier value: code that handled that one can skip the rest. */
  readonly changes?: RulesetChanges;
}

/**
 * Which entries may differ from the earlier ruleset; all others are the same objects. Members of sets
 * may change in addition.
 */
export interface RulesetChanges {
  /** The earlier one; weak, so that a chain of them is not kept in memory. */
  readonly since: WeakRef<Ruleset> | undefined;
  readonly chains: ReadonlySet<string>;
  readonly sets: ReadonlySet<string>;
}

/** A chain; with a hook it is a base chain, and packets come to it by themselves. */
export interface Chain {
  readonly name: string;
  readonly hook?: BaseHook;
  readonly rules: readonly Rule[];
}

/** Where packets enter a base chain. Accepting means: go on to the next base chain of the hook. */
export interface BaseHook {
  readonly name: "input" | "forward" | "output";
  /** Offset from NF_IP_PRI_FILTER; base chains of one hook run in ascending order. */
  readonly priority: number;
}

/** A rule: its statements in order; the comment names the policy that it comes from. */
export interface Rule {
  readonly statements: readonly Statement[];
  readonly comment?: string;
  /** Identifies the statements: rules with equal tags do the same. */
  readonly tag: string;
}

/** A named set or, of verdicts, map. */
export interface NamedSet {
  readonly name: string;
  readonly type: SetType;
  /** A comment for people. */
  readonly comment?: string;
  readonly elements: SetElements;
}

/** What a set's keys are; `interval`: ranges of them; a `verdicts` one is a map. */
export type SetType =
  | { readonly key: "ifname"; readonly isMap: boolean }
  | { readonly key: "ifnameAddress"; readonly family: Family }
  | { readonly key: "ctState"; readonly isMap: true }
  | {
    readonly key: "address";
    readonly family: Family;
    readonly isInterval: boolean;
    readonly isMap?: boolean;
  }
  | { readonly key: "addressPair"; readonly family: Family }
  | { readonly key: "addressPort"; readonly family: Family }
  | { readonly key: "port" };

/** The elements: fixed ones, or the members of a set that lives on. */
export type SetElements =
  /** Interface names, states, addresses, or two of them: `name,address`, `address,address`. */
  | { readonly kind: "names"; readonly names: ReadonlyMap<string, NameElement> }
  | { readonly kind: "ranges"; readonly ranges: readonly AddressRange[] }
  | { readonly kind: "ports"; readonly ranges: readonly PortRange[] }
  /** Members of one family of an `addresses` or `addressPorts` set. */
  | { readonly kind: "members"; readonly members: MemberSet };

/** A pod's entry: its verdict in a map, and whose it is. */
export interface NameElement {
  readonly verdict?: Verdict;
  readonly comment: string;
}

/** Whether two elements of one key are the same to the kernel. */
export function isSameElement(a: NameElement, b: NameElement | undefined): boolean {
  if (a === b) return true;
  return b !== undefined && a.comment === b.comment && a.verdict?.code === b.verdict?.code &&
    chainOf(a) === chainOf(b);
}

function chainOf({ verdict }: NameElement): string | undefined {
  return verdict !== undefined && "chain" in verdict ? verdict.chain : undefined;
}
