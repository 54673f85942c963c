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
 * The kernel holds a mutex during a transaction, and every other program that changes rules waits for it.
 * So objects that no packet reaches are added and deleted in transactions of bounded size.
 */

import { assert } from "../base/assert.ts";
import type { Request } from "../netlink/message.ts";
import { deleteTable, newTable } from "../netlink/nftables/table.ts";
import { diffChains } from "./diff_chains.ts";
import { diffSets, isFrom, isSameAs, setTag } from "./diff_sets.ts";
import type { Ruleset } from "./ruleset.ts";
import { applySentChanges, type Sent } from "./sent.ts";
import { TABLE } from "./table.ts";

/** The messages, and the kernel's state after them. */
export interface Difference {
  /** The messages of each transaction, in the order in which to send them; none: nothing to do. */
  readonly transactions: readonly (readonly Request[])[];
  readonly sent: Sent;
  /** Counts for the log. */
  readonly changed: {
    readonly chains: number;
    readonly sets: number;
    readonly elements: number;
  };
}

/**
 * Computes the transactions that turn the kernel's state `sent` into `ruleset`.
 *
 * @param tableFlags flags of the table (`enum nft_table_flags`) if it must be replaced
 * @returns `undefined` if `sent` is incomplete: read the kernel and compare with that
 */
export function diff(sent: Sent, ruleset: Ruleset, tableFlags: number): Difference | undefined {
  const names = namesToCompare(sent, ruleset);
  if (!isIncompatible(sent, ruleset, names)) return diffCompatible(sent, ruleset, names);
  return diffWhole(ruleset, tableFlags);
}

/** The table deleted, and made again with all of `ruleset`, in one transaction. */
export function diffWhole(ruleset: Ruleset, tableFlags: number): Difference {
  const again = [deleteTable(TABLE), newTable({ table: TABLE, flags: tableFlags })];
  const nothing: Sent = { chains: new Map(), sets: new Map() };
  const whole = diffCompatible(nothing, ruleset, namesToCompare(nothing, ruleset));
  assert(whole !== undefined, "Of an empty table everything is known");
  return { ...whole, transactions: [[...again, ...whole.transactions.flat()]] };
}

/** Names of the objects that may differ. */
interface Names {
  readonly chains: ReadonlySet<string>;
  readonly sets: ReadonlySet<string>;
}

function namesToCompare(sent: Sent, ruleset: Ruleset): Names {
  const isNext = ruleset === sent.ruleset ||
    sent.ruleset !== undefined && ruleset.changes?.since?.deref() === sent.ruleset;
  if (!isNext) {
    return {
      chains: new Set([...ruleset.chains.keys(), ...sent.chains.keys()]),
      sets: new Set([...ruleset.sets.keys(), ...sent.sets.keys()]),
    };
  }
  const { chains = NONE, sets = NONE } = ruleset === sent.ruleset ? {} : ruleset.changes ?? {};
  const changed = new Set(sets);
  for (const [name, set] of ruleset.sets) {
    const there = set.elements.kind === "members" ? sent.sets.get(name) : undefined;
    if (there !== undefined && !isSameAs(there, set)) changed.add(name);
  }
  return { chains, sets: changed };
}

const NONE: ReadonlySet<string> = new Set();

/**
 * Whether a set has the same name and another definition, or a base chain's name belongs to another
 * kind of chain: another version created it, and its users would have to be deleted first.
 */
function isIncompatible(sent: Sent, ruleset: Ruleset, names: Names): boolean {
  for (const name of names.sets) {
    const [there, set] = [sent.sets.get(name), ruleset.sets.get(name)];
    if (there === undefined || set === undefined || isFrom(there, set)) continue;
    if (there.tag !== setTag(set)) return true;
  }
  for (const name of names.chains) {
    const [there, chain] = [sent.chains.get(name), ruleset.chains.get(name)];
    if (there === undefined || chain === undefined || there.chain === chain) continue;
    if ((there.hook === undefined) !== (chain.hook === undefined)) return true;
  }
  return false;
}

function diffCompatible(sent: Sent, ruleset: Ruleset, names: Names): Difference | undefined {
  const sets = diffSets(sent, ruleset, names.sets);
  if (sets === undefined) return undefined;
  const chains = diffChains(sent, ruleset, names.chains);
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
  const behind = isLarge(gone) ? slice(gone) : [];
  const transactions = [
    ...before,
    [...(before.length > 0 ? [] : unseen), ...seen, ...(behind.length > 0 ? [] : gone)],
    ...behind,
  ];
  let after: Sent | undefined;
  return {
    transactions: transactions.filter((it) => it.length > 0),
    get sent(): Sent {
      return after ??= {
        chains: applySentChanges(sent.chains, chains.sent),
        sets: applySentChanges(sent.sets, sets.sent),
        ruleset,
      };
    },
    changed: { chains: chains.changed, sets: sets.changed, elements: sets.changedElements },
  };
}

/** About how many bytes of messages a transaction has for objects that no packet reaches. */
const SLICE_BYTES_MAX = 256 << 10;
/** The assumed size (bytes) of a message that does not state its size. */
const REQUEST_BYTES = 512;

function bytesOf({ bytes = 0 }: Request): number {
  return REQUEST_BYTES + bytes;
}

function isLarge(requests: readonly Request[]): boolean {
  return requests.reduce((bytes, request) => bytes + bytesOf(request), 0) > SLICE_BYTES_MAX;
}

/** Splits requests, in order, into transactions of bounded size. */
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
