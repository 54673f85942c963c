/**
 * What nf_tables does with transactions, as a list of cases that a real kernel and a FakeKernel are both
 * asked: `fake_kernel_test.ts` here, without root, and tests/namespace/netlink/nftables_suite_test.ts.
 */

import { assertEquals, assertMatch } from "@std/assert";
import type { DataplaneSocket } from "../../../lib/dataplane/apply.ts";
import { NetlinkBatchError } from "../../../lib/netlink/error.ts";
import type { RawMessage, Request } from "../../../lib/netlink/message.ts";
import { beginBatch, transaction } from "../../../lib/netlink/nftables/batch.ts";
import {
  deleteChain,
  dumpChains,
  newChain,
  parseChain,
} from "../../../lib/netlink/nftables/chain.ts";
import {
  NF_ACCEPT,
  NFT_DATA_VERDICT,
  NFT_GOTO,
  NFT_JUMP,
} from "../../../lib/netlink/nftables/data.ts";
import type { Element } from "../../../lib/netlink/nftables/element.ts";
import { NFT_SET_ELEM_INTERVAL_END } from "../../../lib/netlink/nftables/element.ts";
import {
  deleteElements,
  dumpElements,
  flushElements,
  newElements,
  parseElements,
} from "../../../lib/netlink/nftables/element_list.ts";
import { counter, immediate, lookup, payload } from "../../../lib/netlink/nftables/expression.ts";
import { NFPROTO_INET } from "../../../lib/netlink/nftables/message.ts";
import {
  deleteRule,
  dumpRules,
  flushChain,
  newRule,
  parseRule,
} from "../../../lib/netlink/nftables/rule.ts";
import {
  deleteSet,
  dumpSets,
  newSet,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  parseSet,
  TYPE_IPADDR,
} from "../../../lib/netlink/nftables/set.ts";
import { deleteTable, newTable } from "../../../lib/netlink/nftables/table.ts";

/** The table that every case begins without. */
export const SUITE_TABLE = { family: NFPROTO_INET, name: "calyx-suite" } as const;

/**
 * One transaction, and its end: "ok", or what each refused message is refused with; an expression where
 * kernels differ.
 */
export interface Step {
  readonly send: readonly Request[] | ((socket: DataplaneSocket) => Promise<readonly Request[]>);
  readonly ends: string | RegExp;
  /** Without its end, so that nothing is in force afterwards. */
  readonly isOpen?: true;
}

/** Transactions one after the other, and what is there then. */
export interface SuiteCase {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly leaves: readonly string[];
}

const table = SUITE_TABLE;
const MAKE = newTable({ table });
const chain = (name: string): Request => newChain({ table, name });
const base = (name: string, policy: "accept" | "drop" = "accept"): Request =>
  newChain({ table, name, hook: { hook: 2, priority: 7, type: "filter", policy } });
const set = (name: string, flags = 0, size?: number): Request =>
  newSet({
    ...{ table, name, id: 1, flags, keyType: TYPE_IPADDR, keyLength: 4 },
    ...(flags & NFT_SET_MAP ? { dataType: NFT_DATA_VERDICT, dataLength: 0 } : {}),
    ...(size === undefined ? {} : { description: { size } }),
  });
const address = (last: number): Uint8Array => new Uint8Array([10, 0, 0, last]);
const key = (last: number): Element => ({ key: address(last) });
const end = (last: number): Element => ({ ...key(last), flags: NFT_SET_ELEM_INTERVAL_END });
const leads = (last: number, chain: string): Element => ({
  ...key(last),
  data: { verdict: { code: NFT_GOTO, chain } },
});
const add = (set: string, ...elements: Element[]): Request[] =>
  newElements({ table, set, elements });
const take = (set: string, ...elements: Element[]): Request[] =>
  deleteElements({ table, set, elements });
const rule = (
  chain: string,
  tag: string,
  ...expressions: Parameters<typeof newRule>[0]["expressions"] & unknown[]
): Request => newRule({ table, chain, expressions: expressions as [], tag });
const jump = (chain: string) => immediate({ verdict: { code: NFT_JUMP, chain } });
const asks = (set: string, map = false) => [
  payload({ base: 1, offset: 12, length: 4, destinationRegister: 1 }),
  lookup({ set, sourceRegister: 1, ...(map ? { destinationRegister: 0 } : {}) }),
];
const ok = (...send: Request[]): Step => ({ send, ends: "ok" });
const no = (ends: string | RegExp, ...send: Request[]): Step => ({ send, ends });
const handleOf = async (socket: DataplaneSocket, tag: string): Promise<bigint> => {
  const rules = await readAll(socket, dumpRules(table), parseRule);
  return rules.find((it) => it.tag === tag)?.handle ?? 0n;
};

/** The cases. */
export const NFTABLES_SUITE: readonly SuiteCase[] = [
  {
    name: "a table, chains in any order, rules in theirs",
    steps: [
      ok(MAKE, base("first"), chain("second")),
      ok(rule("second", "a", counter()), rule("second", "b", counter())),
      ok(newRule({ table, chain: "second", expressions: [counter()], tag: "c", place: "first" })),
    ],
    leaves: ["chain first hook", "chain second: c a b"],
  },
  {
    name: "what is not there",
    steps: [
      no("ENOENT", chain("c")),
      no("ENOENT", deleteTable(table)),
      ok(MAKE),
      no("ENOENT", deleteChain({ table, name: "c" })),
      no("ENOENT", rule("c", "a", counter())),
      no("ENOENT", deleteSet({ table, name: "s" })),
      no("ENOENT", ...add("s", key(1))),
      ok(chain("c"), set("s")),
      no("ENOENT", rule("c", "a", ...asks("none"))),
      no("ENOENT", rule("c", "a", jump("none"))),
      no("ENOENT", ...take("s", key(1))),
      no("ENOENT", deleteRule({ table, chain: "c", handle: 99_999n })),
    ],
    leaves: ["chain c:", "set s:"],
  },
  {
    name: "what is there already",
    steps: [
      ok(MAKE, chain("c"), set("s")),
      ok(MAKE, chain("c"), set("s")),
      no("EEXIST", newTable({ table, exclusive: true })),
      no("EEXIST", newChain({ table, name: "c", exclusive: true })),
      no("EEXIST", set("s", NFT_SET_INTERVAL)),
      ok(...add("s", key(1), key(2))),
      ok(...add("s", key(2), key(3))),
      no("EEXIST", ...newElements({ table, set: "s", elements: [key(3)] }, { exclusive: true })),
    ],
    leaves: ["chain c:", "set s: 0a000001 0a000002 0a000003"],
  },
  {
    name: "a base chain keeps its place, and takes another policy",
    steps: [
      ok(MAKE, base("b")),
      ok(base("b", "drop")),
      no(
        /^(EOPNOTSUPP|EEXIST)$/, // the latter of older kernels
        newChain({ table, name: "b", hook: { hook: 2, priority: 8, type: "filter" } }),
      ),
    ],
    leaves: ["chain b hook drop"],
  },
  {
    name: "what is in use",
    steps: [
      ok(MAKE, chain("to"), chain("from"), set("s"), rule("from", "a", ...asks("s"))),
      ok(rule("from", "b", jump("to"))),
      no("EBUSY", deleteSet({ table, name: "s" })),
      no("EBUSY", deleteChain({ table, name: "to" })),
      no("EBUSY EBUSY", deleteSet({ table, name: "s" }), deleteChain({ table, name: "to" })),
      // What holds on to them goes before, in the same transaction.
      ok(
        flushChain({ table, chain: "from" }),
        deleteSet({ table, name: "s" }),
        deleteChain({ table, name: "to" }),
      ),
    ],
    leaves: ["chain from:"],
  },
  {
    name: "a chain that a map leads to",
    steps: [
      ok(MAKE, chain("to"), chain("from"), set("m", NFT_SET_MAP)),
      ok(...add("m", leads(1, "to")), rule("from", "a", ...asks("m", true))),
      no("EBUSY", deleteChain({ table, name: "to" })),
      no("ENOENT", ...add("m", leads(2, "none"))),
      no("EEXIST", ...add("m", { ...key(1), data: { verdict: { code: NF_ACCEPT } } })),
      ok(...take("m", key(1)), deleteChain({ table, name: "to" })),
    ],
    leaves: ["chain from: a", "set m:"],
  },
  {
    name: "a chain goes with its rules",
    steps: [
      ok(MAKE, chain("to"), chain("from"), rule("from", "a", jump("to"))),
      ok(deleteChain({ table, name: "from" }), deleteChain({ table, name: "to" })),
    ],
    leaves: [],
  },
  {
    name: "no verdict leads to a base chain",
    steps: [ok(MAKE, base("b"), chain("c")), no("EOPNOTSUPP", rule("c", "a", jump("b")))],
    leaves: ["chain b hook", "chain c:"],
  },
  {
    name: "a refused message takes its whole transaction along",
    steps: [
      ok(MAKE, chain("c"), set("s"), ...add("s", key(1))),
      no("ENOENT", chain("d"), ...add("s", key(2)), rule("none", "a", counter())),
      no("ENOENT", ...take("s", key(1)), ...take("s", key(1))),
      { send: [deleteTable(table), MAKE], ends: "ok", isOpen: true },
    ],
    leaves: ["chain c:", "set s: 0a000001"],
  },
  {
    name: "ranges do not overlap",
    steps: [
      ok(MAKE, set("r", NFT_SET_INTERVAL), ...add("r", key(10), end(20))),
      ok(...add("r", key(10), end(20))),
      ok(...add("r", key(20), end(30), key(40), end(41))),
      no("EEXIST", ...add("r", key(15), end(18))),
      no("EEXIST", ...add("r", key(5), end(11))),
      no("EEXIST", ...add("r", key(35), end(50))),
      ok(...take("r", key(40), end(41)), ...add("r", key(35), end(50))),
    ],
    leaves: ["set r: 0a00000a 0a000014 0a000014$ 0a00001e$ 0a000023 0a000032$"],
  },
  {
    name: "a set has a size",
    steps: [
      ok(MAKE, set("s", 0, 2), ...add("s", key(1), key(2))),
      no("ENFILE", ...add("s", key(3))),
      ok(flushElements(table, "s")),
      ok(...add("s", key(3))),
    ],
    leaves: ["set s: 0a000003"],
  },
  {
    name: "a rule is replaced in its place, and deleted by its handle",
    steps: [
      ok(MAKE, chain("c"), ...["a", "b", "d"].map((tag) => rule("c", tag, counter()))),
      {
        send: async (socket) => [
          newRule({
            ...{ table, chain: "c", expressions: [counter()], tag: "B" },
            place: { replace: await handleOf(socket, "b") },
          }),
          deleteRule({ table, chain: "c", handle: await handleOf(socket, "a") }),
        ],
        ends: "ok",
      },
    ],
    leaves: ["chain c: B d"],
  },
];

/** Runs a case on a socket whose kernel has no table of the suite. @throws {AssertionError} */
export async function runCase(
  socket: DataplaneSocket,
  { steps, leaves }: SuiteCase,
): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const end = await runStep(socket, step);
    if (typeof step.ends === "string") assertEquals(end, step.ends, `step ${index + 1}`);
    else assertMatch(end, step.ends, `step ${index + 1}`);
  }
  assertEquals(await listSuiteTable(socket), leaves);
}

async function runStep(socket: DataplaneSocket, { send, isOpen }: Step): Promise<string> {
  const requests = typeof send === "function" ? await send(socket) : send;
  try {
    await socket.batch(isOpen ? [beginBatch(), ...requests] : transaction(requests));
    return "ok";
  } catch (error) {
    if (error instanceof NetlinkBatchError) return error.failures.map((it) => it.code).join(" ");
    throw error;
  }
}

/** What the table has, one line each for chains and sets; nothing where there is no table. */
async function listSuiteTable(socket: DataplaneSocket): Promise<readonly string[]> {
  const isOurs = (it: { readonly table: { readonly name: string } }): boolean =>
    it.table.name === table.name;
  const chains = (await readAll(socket, dumpChains(table), parseChain)).filter(isOurs);
  const rules = (await readAll(socket, dumpRules(table), parseRule)).filter(isOurs);
  const lines = chains.map(({ name, hook }) => {
    const tags = rules.filter((it) => it.chain === name).map((it) => ` ${it.tag}`).join("");
    const policy = hook?.policy === "drop" ? " drop" : "";
    return hook === undefined ? `chain ${name}:${tags}` : `chain ${name} hook${policy}`;
  });
  for (const { name } of (await readAll(socket, dumpSets(table), parseSet)).filter(isOurs)) {
    const lists = await readAll(socket, dumpElements(table, name), parseElements);
    const keys = lists.flatMap((it) => it.elements).map(({ key, flags = 0 }) =>
      ` ${key.toHex()}${flags & NFT_SET_ELEM_INTERVAL_END ? "$" : ""}`
    );
    lines.push(`set ${name}:${keys.sort().join("")}`);
  }
  return lines.sort();
}

function readAll<T>(
  socket: DataplaneSocket,
  request: Request,
  parse: (raw: RawMessage) => T,
): Promise<readonly T[]> {
  return Promise.resolve([...socket.dumpParts(request)].flat().map(parse));
}
