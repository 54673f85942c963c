/**
 * nf_tables messages against a real kernel: what we program lists in nft(8) as expected and reads back
 * as the same values; refusals name their objects; transactions are whole or nothing.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { assert } from "../../../lib/base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN } from "../../../lib/base/bytes.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { isNotFound, NetlinkBatchError, NetlinkError } from "../../../lib/netlink/error.ts";
import type { Request } from "../../../lib/netlink/message.ts";
import { transaction } from "../../../lib/netlink/nftables/batch.ts";
import {
  type Chain,
  deleteChain,
  dumpChains,
  newChain,
  NF_INET_FORWARD,
  parseChain,
} from "../../../lib/netlink/nftables/chain.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_DATA_VERDICT,
  NFT_GOTO,
  NFT_JUMP,
  NFT_REG32_00,
  NFT_REG_1,
  NFT_REG_VERDICT,
} from "../../../lib/netlink/nftables/data.ts";
import type { Element } from "../../../lib/netlink/nftables/element.ts";
import {
  deleteElements,
  destroyElements,
  dumpElements,
  newElements,
  parseElements,
  refusedElement,
} from "../../../lib/netlink/nftables/element_list.ts";
import {
  bitwise,
  cmp,
  counter,
  ct,
  type Expression,
  immediate,
  limit,
  log,
  lookup,
  meta,
  payload,
  range,
  reject,
} from "../../../lib/netlink/nftables/expression.ts";
import {
  CT_STATE_ESTABLISHED,
  CT_STATE_RELATED,
  NFT_CMP_EQ,
  NFT_CMP_NEQ,
  NFT_CT_STATE,
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_NFPROTO,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_RANGE_EQ,
  NFT_REJECT_ICMPX_ADMIN_PROHIBITED,
  NFT_REJECT_ICMPX_UNREACH,
  NFT_REJECT_TCP_RST,
} from "../../../lib/netlink/nftables/expression_attributes.ts";
import { getGeneration, parseGeneration } from "../../../lib/netlink/nftables/generation.ts";
import {
  type KeyRange,
  parseRanges,
  rangeElements,
} from "../../../lib/netlink/nftables/interval.ts";
import {
  NFNLGRP_NFTABLES,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from "../../../lib/netlink/nftables/message.ts";
import { parseNotification } from "../../../lib/netlink/nftables/notification.ts";
import {
  deleteRule,
  dumpRules,
  flushChain,
  newRule,
  parseEchoedRules,
  parseRule,
  refusedExpression,
} from "../../../lib/netlink/nftables/rule.ts";
import {
  concatType,
  deleteSet,
  dumpSets,
  type NewSet,
  newSet,
  NFT_SET_CONCAT,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  parseSet,
  type SetDefinition,
  TYPE_IFNAME,
  TYPE_INET_PROTOCOL,
  TYPE_INET_SERVICE,
  TYPE_IP6ADDR,
  TYPE_IPADDR,
} from "../../../lib/netlink/nftables/set.ts";
import {
  deleteTable,
  getTable,
  newTable,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
  parseTable,
} from "../../../lib/netlink/nftables/table.ts";
import {
  NETLINK_NETFILTER,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";
import { assertGolden } from "../../support/golden/golden.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { hasDestroy, hasOwnedTables } from "../../support/kernel/kernel_feature.ts";
import { nft } from "../../support/kernel/nft_listing.ts";
import { programTest } from "../../support/program/program.ts";
import { sleep } from "../../support/until.ts";

libc(); // opened before the tests, or the first of them would seem to leak it

const table = { family: NFPROTO_INET, name: "calyx" };

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);
const hostOrder = (value: number): Uint8Array => {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, HOST_IS_LITTLE_ENDIAN);
  return out;
};
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const interfaceName = (name: string): Uint8Array => {
  const key = new Uint8Array(16);
  key.set(ascii(name));
  return key;
};
const v6 = (last: number): Uint8Array =>
  bytes(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last);

/** Opens a socket onto an empty ruleset, and leaves one. */
async function withSocket(test: (socket: NetlinkSocket) => Promise<void>): Promise<void> {
  requireIsolation();
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  try {
    await test(socket);
  } finally {
    if (hasTable(socket)) await socket.batch(transaction([deleteTable(table)]));
  }
}

function hasTable(socket: NetlinkSocket): boolean {
  try {
    return socket.request(getTable(table)).length > 0;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** The transaction's failures; asserts that there are some. */
async function failures(
  socket: NetlinkSocket,
  requests: readonly Request[],
  generation?: number,
): Promise<NetlinkBatchError> {
  return await assertRejects(
    () => socket.batch(transaction(requests, generation)),
    NetlinkBatchError,
  );
}

const SETS: readonly NewSet[] = [
  {
    table,
    name: "dispatch",
    id: 1,
    flags: NFT_SET_MAP,
    keyType: TYPE_IFNAME,
    keyLength: 16,
    keyByteOrder: "host",
    dataType: NFT_DATA_VERDICT,
    dataLength: 0,
    comment: "pods of this node",
    tag: "dispatch-1",
  },
  {
    table,
    name: "peers4",
    id: 2,
    flags: 0,
    keyType: TYPE_IPADDR,
    keyLength: 4,
    keyByteOrder: "network",
    description: { size: 1000 },
  },
  {
    table,
    name: "peers6",
    id: 3,
    flags: 0,
    keyType: TYPE_IP6ADDR,
    keyLength: 16,
    keyByteOrder: "network",
  },
  {
    table,
    name: "blocks",
    id: 4,
    flags: NFT_SET_INTERVAL,
    keyType: TYPE_IPADDR,
    keyLength: 4,
    keyByteOrder: "network",
  },
  {
    table,
    name: "named",
    id: 5,
    flags: 0,
    keyType: concatType(TYPE_IPADDR, TYPE_INET_PROTOCOL, TYPE_INET_SERVICE),
    keyLength: 12,
  },
  {
    table,
    name: "ports",
    id: 6,
    flags: NFT_SET_INTERVAL | NFT_SET_CONCAT,
    keyType: concatType(TYPE_IPADDR, TYPE_INET_PROTOCOL, TYPE_INET_SERVICE),
    keyLength: 12,
    description: { concat: [4, 1, 2] },
  },
];

const BLOCKS: readonly KeyRange[] = [
  { first: bytes(10, 0, 0, 0), last: bytes(10, 0, 0, 255) },
  { first: bytes(192, 168, 0, 1), last: bytes(192, 168, 0, 9) },
  { first: bytes(255, 0, 0, 0), last: bytes(255, 255, 255, 255) },
];

const ELEMENTS: Readonly<Record<string, readonly Element[]>> = {
  dispatch: [
    {
      key: interfaceName("cali1"),
      data: { verdict: { code: NFT_JUMP, chain: "pod" } },
      comment: "default/web",
    },
    { key: interfaceName("cali2"), data: { verdict: { code: NF_DROP } } },
  ],
  peers4: [{ key: bytes(10, 0, 0, 1) }],
  peers6: [{ key: v6(1) }],
  blocks: [...rangeElements(BLOCKS)],
  named: [{ key: bytes(10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0) }],
  ports: [{
    key: bytes(10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0),
    keyEnd: bytes(10, 0, 0, 1, 6, 0, 0, 0, 0, 90, 0, 0),
  }],
};

const load = (key: number, destinationRegister = NFT_REG_1): Expression =>
  meta({ key, destinationRegister });
const equals = (value: Uint8Array): Expression =>
  cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_EQ, value });
const source = (family: number): Expression =>
  payload({
    base: NFT_PAYLOAD_NETWORK_HEADER,
    offset: family === NFPROTO_IPV4 ? 12 : 8,
    length: family === NFPROTO_IPV4 ? 4 : 16,
    destinationRegister: NFT_REG_1,
  });
const port = (destinationRegister = NFT_REG_1): Expression =>
  payload({ base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2, destinationRegister });
const isFamily = (family: number): readonly Expression[] => [
  load(NFT_META_NFPROTO),
  equals(bytes(family)),
];
const isProtocol = (protocol: number): readonly Expression[] => [
  load(NFT_META_L4PROTO),
  equals(bytes(protocol)),
];
const isIn = (set: string): Expression => lookup({ set, sourceRegister: NFT_REG_1 });
const verdict = (code: number, chain?: string): Expression =>
  immediate({ verdict: { code, chain } });
const portTuple = (set: string): readonly Expression[] => [
  ...isFamily(NFPROTO_IPV4),
  source(NFPROTO_IPV4),
  load(NFT_META_L4PROTO, NFT_REG32_00 + 1),
  port(NFT_REG32_00 + 2),
  lookup({ set, sourceRegister: NFT_REG_1 }),
];

interface RuleText {
  readonly comment?: string;
  readonly tag?: string;
  readonly expressions: readonly Expression[];
}

const RULES: Readonly<Record<string, readonly RuleText[]>> = {
  forward: [
    {
      comment: "replies",
      tag: "a1",
      expressions: [
        ct({ key: NFT_CT_STATE, destinationRegister: NFT_REG_1 }),
        bitwise({
          sourceRegister: NFT_REG_1,
          destinationRegister: NFT_REG_1,
          mask: hostOrder(CT_STATE_ESTABLISHED | CT_STATE_RELATED),
        }),
        cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_NEQ, value: hostOrder(0) }),
        counter({ packets: 5, bytes: 700 }),
        verdict(NF_ACCEPT),
      ],
    },
    {
      tag: "only a tag",
      expressions: [
        load(NFT_META_IIFNAME),
        lookup({
          set: "dispatch",
          sourceRegister: NFT_REG_1,
          destinationRegister: NFT_REG_VERDICT,
        }),
      ],
    },
    { expressions: [load(NFT_META_IIFNAME), equals(ascii("cali")), verdict(NF_DROP)] },
  ],
  pod: [
    {
      comment: "größer als 1 €",
      expressions: [...isFamily(NFPROTO_IPV4), source(NFPROTO_IPV4), isIn("peers4"), verdict(1)],
    },
    {
      expressions: [
        ...isFamily(NFPROTO_IPV6),
        source(NFPROTO_IPV6),
        isIn("peers6"),
        verdict(NFT_GOTO, "refuse"),
      ],
    },
    {
      expressions: [
        ...isFamily(NFPROTO_IPV4),
        source(NFPROTO_IPV4),
        isIn("blocks"),
        ...isProtocol(6),
        port(),
        range({
          sourceRegister: NFT_REG_1,
          operator: NFT_RANGE_EQ,
          from: bytes(0, 80),
          to: bytes(0, 90),
        }),
        verdict(NF_ACCEPT),
      ],
    },
    { expressions: [...portTuple("named"), verdict(NF_ACCEPT)] },
    { expressions: [...portTuple("ports"), verdict(NF_ACCEPT)] },
  ],
  refuse: [
    {
      expressions: [
        limit({ rate: 10, burst: 20 }),
        log({ prefix: "calyx-drop ", group: 7, queueThreshold: 1, snapLength: 128 }),
      ],
    },
    { expressions: [...isProtocol(6), reject({ type: NFT_REJECT_TCP_RST })] },
    {
      expressions: [
        reject({ type: NFT_REJECT_ICMPX_UNREACH, code: NFT_REJECT_ICMPX_ADMIN_PROHIBITED }),
      ],
    },
  ],
};

/** Everything above, in an order that the kernel takes; the table is owned where it can be. */
async function everything(): Promise<Request[]> {
  const flags = await hasOwnedTables() ? NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST : 0;
  return [
    newTable({ table, flags }),
    newChain({
      table,
      name: "forward",
      hook: { hook: NF_INET_FORWARD, priority: 5, type: "filter", policy: "accept" },
      comment: "all that is routed",
      tag: "base",
    }),
    newChain({ table, name: "pod", tag: "pod-1" }),
    newChain({ table, name: "refuse" }),
    ...SETS.map(newSet),
    ...Object.entries(ELEMENTS).flatMap(([set, elements]) => newElements({ table, set, elements })),
    ...Object.entries(RULES).flatMap(([chain, rules]) =>
      rules.map((rule) => newRule({ table, chain, ...rule }))
    ),
  ];
}

programTest(
  "a whole table lists in nft as its golden",
  ["nft"],
  () =>
    withSocket(async (socket) => {
      assertEquals(await socket.batch(transaction(await everything())), []);
      const text = nft("-n", "list", "table", "inet", table.name).replace(/ # progname .*/, "");
      // The one line that a kernel without owned tables does not have.
      const owner = await hasOwnedTables() ? "$&" : "$&\tflags owner\n\n";
      await assertGolden("nftables/ruleset.nft", text.replace("table inet calyx {\n", owner));
    }),
);

Deno.test("a whole table dumps as the values it was made of", () =>
  withSocket(async (socket) => {
    await socket.batch(transaction(await everything()));

    const chains = socket.dump(dumpChains(table)).map(parseChain);
    assertEquals(
      chains.map(({ name, hook, comment, tag }: Chain) => ({ name, hook, comment, tag })),
      [
        {
          name: "forward",
          hook: { hook: NF_INET_FORWARD, priority: 5, type: "filter", policy: "accept" },
          comment: "all that is routed",
          tag: "base",
        },
        { name: "pod", hook: undefined, comment: undefined, tag: "pod-1" },
        { name: "refuse", hook: undefined, comment: undefined, tag: undefined },
      ],
    );

    const sets = socket.dump(dumpSets(table)).map(parseSet);
    assertEquals(sets.map(definitionOf), SETS.map(definitionOf));

    for (const [set, expected] of Object.entries(ELEMENTS)) {
      const elements = socket.dump(dumpElements(table, set)).flatMap((raw) => {
        const list = parseElements(raw);
        assertEquals([list.table, list.set], [table, set]);
        return list.elements;
      });
      assertEquals(elements.map(textOf).sort(), expected.map(textOf).sort(), set);
      if (set === "blocks") assertEquals(parseRanges(elements), BLOCKS);
    }

    const rules = socket.dump(dumpRules(table)).map(parseRule);
    const expected = Object.entries(RULES).flatMap(([chain, texts]) =>
      texts.map(({ comment, tag, expressions }) => ({
        table,
        chain,
        comment,
        tag,
        expressions: expressions.map(asDumped),
      }))
    );
    assertEquals(rules.map(({ handle: _, ...rule }) => rule), expected);
    assertEquals(
      socket.dump(dumpRules(table, "pod")).map((raw) => parseRule(raw).chain),
      Array(5).fill("pod"),
    );
  }));

/** What a set and its declaration must agree on. */
function definitionOf(set: NewSet | SetDefinition): unknown {
  const { name, flags, keyType, keyLength, keyByteOrder, description, comment, tag } = set;
  const { size, concat } = description ?? {};
  const { dataType } = set;
  return { name, flags, keyType, keyLength, keyByteOrder, dataType, size, concat, comment, tag };
}

function textOf({ key, keyEnd, ...rest }: Element): string {
  return JSON.stringify([Array.from(key), keyEnd && Array.from(keyEnd), rest]);
}

/** What the kernel adds: flags of a lookup, the operation of a bitwise, counts, … */
function asDumped(it: Expression): Expression {
  if ("unknownData" in it) return it;
  const data = Object.fromEntries(
    Object.entries(it.data).filter(([, field]) => field !== undefined),
  );
  const added: Readonly<Record<string, object>> = {
    lookup: { flags: 0 },
    bitwise: { operation: 0 },
  };
  const immediateData = it.name === "immediate" ? it.data.data : undefined;
  if (immediateData?.verdict !== undefined) {
    const { code, chain } = immediateData.verdict;
    data.data = { verdict: chain === undefined ? { code } : { code, chain } };
  }
  // A TCP reset has no code.
  if (it.name === "reject" && it.data.type === NFT_REJECT_TCP_RST) delete data.code;
  return { name: it.name, data: { ...added[it.name], ...data } } as Expression;
}

programTest(
  "a ruleset that nft made dumps too, with what we do not know as bytes",
  ["nft"],
  () =>
    withSocket(async (socket) => {
      await Promise.resolve();
      nft("add table inet calyx; add chain inet calyx a");
      nft('add rule inet calyx a tcp option maxseg size 1400 comment "theirs"');
      const rules = socket.dump(dumpRules(table)).map(parseRule);
      assertEquals(rules.map((it) => [it.comment, it.tag]), [["theirs", undefined]]);
      const option = rules[0]?.expressions.find((it) => "unknownData" in it);
      assertEquals(option?.name, "exthdr");
    }),
);

Deno.test("refusals name their objects, and nothing is applied", () =>
  withSocket(async (socket) => {
    await socket.batch(transaction(await everything()));
    const peers = { table, set: "peers4" };
    const cases: readonly (readonly [Request, string])[] = [
      [
        newChain({ table, name: "pod", exclusive: true }),
        "Cannot NFT_MSG_NEWCHAIN chain inet calyx pod: EEXIST",
      ],
      [
        deleteChain({ table, name: "none" }),
        "Cannot NFT_MSG_DELCHAIN chain inet calyx none: ENOENT",
      ],
      [deleteSet({ table, name: "peers4" }), "Cannot NFT_MSG_DELSET set inet calyx peers4: EBUSY"],
      [
        newSet({ table, name: "peers4", id: 9, flags: 0, keyType: TYPE_IP6ADDR, keyLength: 16 }),
        "Cannot NFT_MSG_NEWSET set inet calyx peers4: EEXIST",
      ],
      [
        newRule({ table, chain: "pod", expressions: [isIn("none")], comment: "bad" }),
        'Cannot NFT_MSG_NEWRULE rule of chain inet calyx pod "bad": ENOENT',
      ],
      [
        deleteRule({ table, chain: "pod", handle: 999n }),
        "Cannot NFT_MSG_DELRULE rule of chain inet calyx pod handle 999: ENOENT",
      ],
      ...newElements({ ...peers, elements: [{ key: bytes(10, 0, 0, 1) }] }, { exclusive: true })
        .map((request) =>
          [
            request,
            "Cannot NFT_MSG_NEWSETELEM elements of set inet calyx peers4: EEXIST",
          ] as const
        ),
      // Last: in the doomed transaction it has deleted the chain's rules, which frees the sets.
      [deleteChain({ table, name: "pod" }), "Cannot NFT_MSG_DELCHAIN chain inet calyx pod: EBUSY"],
    ];
    const good = newChain({ table, name: "new" });
    for (const [request, expected] of cases) {
      const error = await failures(socket, [good, request]);
      assertEquals(error.failures.map((it) => it.message), [expected]);
      assertEquals(error.failures[0]?.request, request);
      assertEquals(error.isStale, false);
    }
    const together = await failures(socket, [good, ...cases.map(([request]) => request)]);
    assertEquals(together.failures.length, cases.length);
    const chains = socket.dump(dumpChains(table)).map((raw) => parseChain(raw).name);
    assertEquals(chains, ["forward", "pod", "refuse"]);
  }));

Deno.test("refusedElement() finds the one of many that the kernel refused", () =>
  withSocket(async (socket) => {
    await socket.batch(transaction(await everything()));
    const peers = { table, set: "peers4" };
    const there = { key: bytes(10, 0, 0, 1) };
    const others = Array.from({ length: 4000 }, (_, i) => ({ key: bytes(10, 9, i >> 8, i) }));
    const cases = [
      // The set holds 1,000 and has one.
      {
        requests: newElements({ ...peers, elements: others }),
        code: "ENFILE",
        element: others[999],
      },
      {
        requests: newElements({ ...peers, elements: [...others.slice(0, 900), there] }, {
          exclusive: true,
        }),
        code: "EEXIST",
        element: there,
      },
      {
        requests: deleteElements({ ...peers, elements: [there, ...others] }),
        code: "ENOENT",
        element: others[0],
      },
    ];
    for (const { requests, code, element } of cases) {
      const [failure] = (await failures(socket, requests)).failures;
      assert(failure?.request !== undefined && failure.attributeOffset !== undefined);
      assertEquals(failure.code, code);
      assertEquals(refusedElement(failure.request, failure.attributeOffset), element);
    }
  }));

Deno.test("refusedExpression() finds the one that the kernel does not know", () =>
  withSocket(async (socket) => {
    const unknown: Expression = { name: "none", unknownData: bytes(0, 0, 0, 0) };
    const { failures: [failure] } = await failures(socket, [
      newTable({ table }),
      newChain({ table, name: "a" }),
      newRule({ table, chain: "a", expressions: [load(NFT_META_IIFNAME), unknown, counter()] }),
    ]);
    assert(failure?.request !== undefined && failure.attributeOffset !== undefined);
    assertEquals(failure.code, "ENOENT");
    assertEquals(refusedExpression(failure.request, failure.attributeOffset)?.name, "none");
  }));

Deno.test("a stale generation refuses the transaction", () =>
  withSocket(async (socket) => {
    const generation = (): number => {
      const [raw] = socket.request(getGeneration());
      assert(raw !== undefined);
      return parseGeneration(raw).id;
    };
    const before = generation();
    await socket.batch(transaction([newTable({ table })], before));
    assertEquals(generation(), before + 1);
    const error = await failures(socket, [newChain({ table, name: "a" })], before);
    assertEquals(error.isStale, true);
    assertEquals(error.failures.map((it) => it.message), [
      "Cannot NFNL_MSG_BATCH_BEGIN: ERESTART",
    ]);
    await socket.batch(transaction([newChain({ table, name: "a" })], before + 1));
  }));

Deno.test("elements change one by one, and their verdicts", () =>
  withSocket(async (socket) => {
    await socket.batch(transaction(await everything()));
    const set = { table, set: "dispatch" };
    const key = interfaceName("cali1");
    const again = newElements({
      ...set,
      elements: [{ key, data: { verdict: { code: NF_ACCEPT } } }],
    });
    assertEquals((await failures(socket, again)).failures.map((it) => it.code), ["EEXIST"]);
    await socket.batch(transaction([...deleteElements({ ...set, elements: [{ key }] }), ...again]));
    if (await hasDestroy()) {
      await socket.batch(
        transaction(destroyElements({ ...set, elements: [{ key: interfaceName("none") }] })),
      );
    }
    const elements = socket.dump(dumpElements(table, "dispatch")).flatMap((raw) =>
      parseElements(raw).elements
    );
    assertEquals(
      elements.map(textOf).sort(),
      [
        { key, data: { verdict: { code: NF_ACCEPT } } },
        { key: interfaceName("cali2"), data: { verdict: { code: NF_DROP } } },
      ].map(textOf).sort(),
    );
  }));

Deno.test("newRule() with echo brings the handle, which deletes and replaces", () =>
  withSocket(async (socket) => {
    await socket.batch(transaction([newTable({ table }), newChain({ table, name: "a" })]));
    const rule = { table, chain: "a", expressions: [verdict(NF_ACCEPT)] };
    const echoed = await socket.batch(transaction([
      newRule({ ...rule, tag: "1", echo: true }),
      newRule({ ...rule, tag: "2", echo: true }),
      newRule({ ...rule, tag: "0", place: "first" }),
    ]));
    const handles = new Map(parseEchoedRules(echoed).map((it) => [it.tag, it.handle]));
    assertEquals([...handles.keys()], ["1", "2"]);
    await socket.batch(transaction([
      deleteRule({ table, chain: "a", handle: handles.get("1") ?? 0n }),
      newRule({ ...rule, tag: "3", place: { replace: handles.get("2") ?? 0n } }),
    ]));
    const tags = (): unknown => socket.dump(dumpRules(table)).map((raw) => parseRule(raw).tag);
    assertEquals(tags(), ["0", "3"]);
    await socket.batch(transaction([flushChain({ table, chain: "a" })]));
    assertEquals(tags(), []);
  }));

Deno.test("members of NFNLGRP_NFTABLES hear every change and who made it", () =>
  withSocket(async (socket) => {
    using monitor = openNetlinkSocket(NETLINK_NETFILTER);
    monitor.join(NFNLGRP_NFTABLES);
    const hear = (): string[] => {
      const { messages, overrun } = monitor.receive();
      assertEquals(overrun, false);
      return messages.map(parseNotification).map((it) => {
        const sign = "deleted" in it && it.deleted ? "-" : "+";
        return it.kind === "generation" ? `by ${it.generation.processName}` : sign + it.kind;
      });
    };
    const [set] = SETS.filter((it) => it.name === "peers4");
    assert(set !== undefined);
    const elements = ELEMENTS.peers4 ?? [];
    await socket.batch(transaction([
      newTable({ table }),
      newChain({ table, name: "a" }),
      newSet(set),
      ...newElements({ table, set: "peers4", elements }),
      newRule({ table, chain: "a", expressions: [] }),
    ]));
    const [by] = hear().slice(-1);
    await socket.batch(transaction([
      flushChain({ table, chain: "a" }),
      ...deleteElements({ table, set: "peers4", elements }),
    ]));
    assertEquals(hear(), ["-rule", "-elements", by]);
    await socket.batch(transaction([newChain({ table, name: "b" })]));
    assertEquals(hear(), ["+chain", by]);
    await socket.batch(transaction([deleteTable(table)]));
    assertEquals(hear(), ["-set", "-chain", "-chain", "-table", by]);
  }));

Deno.test("other programs cannot change an owned table, and it outlives its owner", async (t) => {
  requireIsolation();
  const ignore = !(await hasOwnedTables());
  await t.step({ name: "where the kernel has such tables", ignore, fn: ownedTable });
});

async function ownedTable(): Promise<void> {
  const owner = openNetlinkSocket(NETLINK_NETFILTER);
  using other = openNetlinkSocket(NETLINK_NETFILTER);
  await owner.batch(transaction(await everything()));
  const read = (): number | undefined => {
    const [raw] = other.request(getTable(table));
    assert(raw !== undefined);
    return parseTable(raw).owner;
  };
  assertEquals(typeof read(), "number");
  const change = [newChain({ table, name: "b" })];
  assertEquals((await failures(other, change)).failures.map((it) => it.code), ["EPERM"]);
  owner[Symbol.dispose]();
  assertEquals(read(), undefined);
  const flags = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;
  await other.batch(transaction([newTable({ table, flags }), ...change]));
  assertEquals(typeof read(), "number");
  await other.batch(transaction([deleteTable(table)]));
  try {
    other.request(getTable(table));
    throw new Error("The table is still there");
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

Deno.test("thousands of refusals are one error", () =>
  withSocket(async (socket) => {
    await socket.batch(transaction([newTable({ table })]));
    const many = Array.from({ length: 5000 }, (_, i) => deleteChain({ table, name: `none-${i}` }));
    const error = await failures(socket, [...many, newChain({ table, name: "a" })]);
    // Only as many as the receive buffer holds arrive, the first ones.
    assert(error.failures.length > 100 && error.failures.length <= many.length);
    assertEquals(error.failures[0]?.code, "ENOENT");
    assertEquals(socket.dump(dumpChains(table)), []);
    // What was lost is not mistaken for an answer to the next transaction.
    assertEquals(await socket.batch(transaction([newChain({ table, name: "a" })])), []);
  }));

/** Whether a socket's send buffer may grow to `size`: past the limit only in the first user namespace. */
function canSend(size: number): boolean {
  if (/^\s*0\s+0\s+4294967295\s*$/.test(Deno.readTextFileSync("/proc/self/uid_map"))) return true;
  try {
    return 2 * Number(Deno.readTextFileSync("/proc/sys/net/core/wmem_max")) > size;
  } catch {
    return false;
  }
}

const LARGE_COUNT = 100_000;

Deno.test({
  name: "a large transaction leaves the socket free, and others wait for it",
  ignore: !canSend(LARGE_COUNT * 16 + (1 << 17)), // net.core.wmem_max
  fn: () =>
    withSocket(async (socket) => {
      const elements = Array.from(
        { length: LARGE_COUNT },
        (_, i) => ({ key: bytes(10, i >> 16, i >> 8, i) }),
      );
      const set = SETS.find((it) => it.name === "peers4");
      assert(set !== undefined);
      await socket.batch(transaction([
        newTable({ table }),
        newSet({ ...set, description: { size: LARGE_COUNT } }),
        newSet({ ...set, name: "small", id: 7 }),
      ]));
      const large = socket.batch(transaction(newElements({ table, set: "peers4", elements })));
      const small = socket.batch(
        transaction(newElements({ table, set: "small", elements: elements.slice(0, 1) })),
      );
      // Dumps go on meanwhile, and must not swallow the transaction's acknowledgement.
      let dumps = 0;
      let done = false;
      const dumping = async (): Promise<void> => {
        while (!done) {
          socket.dump(dumpSets(table));
          dumps++;
          await sleep(1);
        }
      };
      const sending = Promise.all([large, small]).finally(() => done = true);
      const [sent] = await Promise.all([sending, dumping()]);
      assertEquals(sent, [[], []]);
      assert(dumps > 0); // on a busy machine the transaction may be done by the second
      const dumped = socket.dump(dumpElements(table, "peers4")).map((raw) =>
        parseElements(raw).elements.length
      );
      assertEquals(dumped.reduce((sum, count) => sum + count, 0), LARGE_COUNT);
    }),
});

Deno.test("request() reports what is not there", async () => {
  requireIsolation();
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const error = await assertRejects(
    () => Promise.resolve().then(() => socket.request(getTable({ ...table, name: "none" }))),
    NetlinkError,
  );
  assertEquals([error.code, isNotFound(error)], ["ENOENT", true]);
  assertEquals(error.message, "Cannot NFT_MSG_GETTABLE table inet none: ENOENT");
});
