/**
 * What to send so that the kernel, which has `Sent`, gets a ruleset: the messages of a few transactions,
 * in an order in which nothing is named before it exists or deleted while it is named. What is already
 * right is not touched, and keeps its counters.
 *
 * The first transactions make new sets and new chains with their rules, which no packet meets yet; one
 * changes what packets meet; what is then met by none may go in transactions of its own. The kernel reads
 * which rules of a chain hold once per packet and hook (`nft_do_chain()`,
 * net/netfilter/nf_tables_core.c), but a map's elements when the packet comes to them. In one transaction
 * a packet could find a new element and behind it a chain that for this packet has no rules yet.
 *
 * The kernel holds a mutex while it takes a transaction, and whoever else changes rules waits for it. So
 * what no packet meets comes and goes in pieces of bounded size.
 */

import { assert } from "../base/assert.ts";
import type { Request } from "../netlink/message.ts";
import { deleteTable, newTable } from "../netlink/nftables/table.ts";
import { diffChains } from "./diff_chains.ts";
import { diffSets, isFrom, setTag } from "./diff_sets.ts";
import type { Ruleset } from "./ruleset.ts";
import type { Sent } from "./sent.ts";
import { TABLE } from "./table.ts";

/** The messages, and what the kernel has when it has taken them. */
export interface Difference {
  /** The messages of each transaction, in the order in which to send them; none: nothing to do. */
  readonly transactions: readonly (readonly Request[])[];
  readonly sent: Sent;
  /** Numbers for people. */
  readonly changed: {
    readonly chains: number;
    readonly sets: number;
    readonly elements: number;
  };
}

/**
 * Compares.
 *
 * @param tableFlags for the case that the table must be made anew
 * @returns `undefined` when `sent` does not say enough: read the kernel and compare with that
 */
export function diff(sent: Sent, ruleset: Ruleset, tableFlags: number): Difference | undefined {
  if (!isIncompatible(sent, ruleset)) return diffCompatible(sent, ruleset);
  return diffWhole(ruleset, tableFlags);
}

/** The table deleted, and made again with all of `ruleset`, in one transaction. */
export function diffWhole(ruleset: Ruleset, tableFlags: number): Difference {
  const again = [deleteTable(TABLE), newTable({ table: TABLE, flags: tableFlags })];
  const whole = diffCompatible({ chains: new Map(), sets: new Map() }, ruleset);
  assert(whole !== undefined, "Of an empty table everything is known");
  return { ...whole, transactions: [[...again, ...whole.transactions.flat()]] };
}

/**
 * A set of the same name that is defined otherwise, or a base chain whose name another kind of chain has:
 * another version made it, and what names it would have to go first.
 */
function isIncompatible(sent: Sent, ruleset: Ruleset): boolean {
  for (const set of ruleset.sets.values()) {
    const there = sent.sets.get(set.name);
    if (there === undefined || isFrom(there, set)) continue;
    if (there.tag !== setTag(set)) return true;
  }
  for (const chain of ruleset.chains.values()) {
    const there = sent.chains.get(chain.name);
    if (there === undefined || there.chain === chain) continue;
    if ((there.hook === undefined) !== (chain.hook === undefined)) return true;
  }
  return false;
}

function diffCompatible(sent: Sent, ruleset: Ruleset): Difference | undefined {
  const sets = diffSets(sent, ruleset);
  if (sets === undefined) return undefined;
  const chains = diffChains(sent, ruleset);
  const unseen = [
    ...sets.created,
    ...chains.created,
    ...sets.createdElements,
    ...chains.createdRules,
    ...sets.createdMapElements,
  ];
  const seen = [
    ...chains.createdBase,
    ...sets.elements,
    ...chains.rules,
    ...sets.mapElements,
  ];
  const gone = [...chains.deletedRules, ...chains.deleted, ...sets.deleted];
  const isLive = sent.chains.values().some((it) => it.hook !== undefined);
  const before = isLive || isLarge(unseen) ? slice(unseen) : [];
  const after = isLarge(gone) ? slice(gone) : [];
  const transactions = [
    ...before,
    [...(before.length > 0 ? [] : unseen), ...seen, ...(after.length > 0 ? [] : gone)],
    ...after,
  ];
  return {
    transactions: transactions.filter((it) => it.length > 0),
    sent: { chains: chains.sent, sets: sets.sent },
    changed: { chains: chains.changed, sets: sets.changed, elements: sets.changedElements },
  };
}

/** About how many bytes of messages one transaction has of what no packet meets. */
const SLICE_BYTES_MAX = 256 << 10;
/** About how many bytes a message has that does not say it. */
const REQUEST_BYTES = 512;

function bytesOf({ bytes = 0 }: Request): number {
  return REQUEST_BYTES + bytes;
}

function isLarge(requests: readonly Request[]): boolean {
  return requests.reduce((bytes, request) => bytes + bytesOf(request), 0) > SLICE_BYTES_MAX;
}

/** The same requests in the same order, in pieces. */
function slice(requests: readonly Request[]): readonly (readonly Request[])[] {
  const slices: Request[][] = [];
  let bytes = Infinity;
  for (const request of requests) {
    if (bytes + bytesOf(request) > SLICE_BYTES_MAX) {
      slices.push([]);
      bytes = 0;
    }
    bytes += bytesOf(request);
    slices.at(-1)?.push(request);
  }
  return slices;
}
