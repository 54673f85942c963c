/**
 * Reads our table from the kernel, in steps between which the event loop goes on.
 *
 * What is slow is the elements: the kernel finds a set by walking the table's list of sets
 * (`nft_set_lookup()`, net/netfilter/nf_tables_api.c), two or three times for each dump, so that reading every set costs the
 * square of their number. So the elements are read only where they are not known: those of a set that is
 * empty are (Linux 6.16 tells the number), and those that we sent, as long as no other process can have
 * changed them.
 */

import type { RawMessage, Request } from "../netlink/message.ts";
import { NetlinkError } from "../netlink/error.ts";
import { dumpChains, parseChain } from "../netlink/nftables/chain.ts";
import type { Element } from "../netlink/nftables/element.ts";
import { dumpElements, parseElements } from "../netlink/nftables/element_list.ts";
import { dumpRules, parseRule } from "../netlink/nftables/rule.ts";
import {
  dumpSets,
  NFT_SET_INTERVAL,
  parseSet,
  type SetDefinition,
} from "../netlink/nftables/set.ts";
import { Turns } from "../base/turns.ts";
import { formatHook } from "./diff_chains.ts";
import { isComparable, listContents } from "./diff_sets.ts";
import type { Ruleset } from "./ruleset.ts";
import type { Sent, SentChain, SentSet } from "./sent.ts";
import { TABLE } from "./table.ts";

/** The reading part of a netlink socket; it takes no other request during a dump. */
export interface ReaderSocket {
  dumpParts(request: Request): Generator<readonly RawMessage[], boolean, void>;
}

/** What limits the read. */
export interface ReadOptions {
  /** The ruleset to compare with: elements of sets outside of it are not read. */
  readonly ruleset: Ruleset;
  /** Sets whose elements are known, by name. */
  readonly known: ReadonlyMap<string, SentSet>;
}

/** How often a dump that a commit interrupted starts again; the last time it gives way to nothing. */
const DUMP_ATTEMPTS_MAX = 8;
const EINTR = 4;

/**
 * Reads the table. What it returns is of one moment only if nothing was committed meanwhile: the caller
 * compares generations.
 *
 * @throws {NetlinkError} if the kernel refuses, or `EINTR` if commits interrupt every attempt
 */
export async function readTable(
  socket: ReaderSocket,
  { ruleset, known }: ReadOptions,
): Promise<Sent> {
  const turns = new Turns();
  const dump = <T>(request: Request, parse: (raw: RawMessage) => T): Promise<readonly T[]> =>
    dumpAll(socket, request, parse, turns);
  const tags = new Map<string, string[]>();
  for (const { table, chain, tag = "" } of await dump(dumpRules(TABLE), toTag)) {
    if (table.name !== TABLE.name) continue;
    const tagsOfChain = tags.get(chain);
    if (tagsOfChain === undefined) tags.set(chain, [tag]);
    else tagsOfChain.push(tag);
  }
  const chains = new Map<string, SentChain>();
  for (const { table, name, hook } of await dump(dumpChains(TABLE), parseChain)) {
    if (table.name !== TABLE.name) continue;
    chains.set(name, { hook: hook && formatHook(hook), tags: tags.get(name)?.join(" ") ?? "" });
  }
  const readContents = async (set: SetDefinition): Promise<ReadonlyMap<string, string>> => {
    if (isEmpty(set) || !ruleset.sets.has(set.name)) return new Map();
    const lists = await dump(dumpElements(TABLE, set.name), toElements);
    return listContents(lists.flat());
  };
  const sets = new Map<string, SentSet>();
  for (const set of await dump(dumpSets(TABLE), parseSet)) {
    if (set.table.name !== TABLE.name) continue;
    const { name, tag = "" } = set;
    const there = known.get(name);
    const wanted = ruleset.sets.get(name);
    const isKnown = there?.tag === tag && (wanted === undefined || isComparable(there, wanted));
    const elements = isKnown
      ? there.elements
      : { kind: "listed" as const, contents: await readContents(set) };
    sets.set(name, { tag, elements });
    await turns.pass();
  }
  return { chains, sets };
}

/** Whether the kernel says so. Of ranges it counts those that end: one up to the last address counts 0. */
function isEmpty({ elementCount, flags }: SetDefinition): boolean {
  return elementCount === 0 && (flags & NFT_SET_INTERVAL) === 0;
}

function toTag(raw: RawMessage): Pick<ReturnType<typeof parseRule>, "table" | "chain" | "tag"> {
  const { table, chain, tag } = parseRule(raw);
  return { table, chain, tag };
}

function toElements(raw: RawMessage): readonly Element[] {
  return parseElements(raw).elements;
}

async function dumpAll<T>(
  socket: ReaderSocket,
  request: Request,
  parse: (raw: RawMessage) => T,
  turns: Turns,
): Promise<readonly T[]> {
  for (let attempt = 1; attempt <= DUMP_ATTEMPTS_MAX; attempt++) {
    const parsed: T[] = [];
    const parts = socket.dumpParts(request);
    let next = parts.next();
    for (; next.done !== true; next = parts.next()) {
      for (const raw of next.value) parsed.push(parse(raw));
      if (attempt < DUMP_ATTEMPTS_MAX) await turns.pass();
    }
    if (next.value) return parsed;
  }
  throw new NetlinkError(`dump ${request.name} ${request.subject}`, EINTR, "EINTR");
}
