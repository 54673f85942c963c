/**
 * Our requests against what nft(8) sends for the same thing: tests/golden/nftables/messages.txt, which
 * names every field. The order of attributes is nft's too, so the bytes are the same bytes.
 */

import { assertEquals, assertStrictEquals } from "@std/assert";
import { assert } from "../../base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN, Writer } from "../buffer.ts";
import {
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Request,
} from "../message.ts";
import { beginBatch, endBatch, transaction } from "./batch.ts";
import { deleteChain, destroyChain, newChain, NF_INET_FORWARD } from "./chain.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_DATA_VERDICT,
  NFT_GOTO,
  NFT_JUMP,
  NFT_REG32_00,
  NFT_REG_1,
  NFT_REG_VERDICT,
  NFT_RETURN,
} from "./data.ts";
import { deleteElements, flushElements, newElements } from "./element_list.ts";
import {
  bitwise,
  cmp,
  counter,
  ct,
  type Expression,
  fib,
  immediate,
  limit,
  log,
  lookup,
  meta,
  payload,
  range,
  reject,
} from "./expression.ts";
import {
  CT_STATE_ESTABLISHED,
  CT_STATE_RELATED,
  IP_CT_DIR_ORIGINAL,
  NFT_BITWISE_MASK_XOR,
  NFT_CMP_EQ,
  NFT_CMP_GTE,
  NFT_CMP_LTE,
  NFT_CMP_NEQ,
  NFT_CT_DIRECTION,
  NFT_CT_SRC_IP,
  NFT_CT_STATE,
  NFT_FIB_RESULT_OIF,
  NFT_LIMIT_PKT_BYTES,
  NFT_LOGLEVEL_INFO,
  NFT_META_IIFNAME,
  NFT_META_L4PROTO,
  NFT_META_MARK,
  NFT_META_NFPROTO,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFT_RANGE_NEQ,
  NFT_REJECT_ICMPX_ADMIN_PROHIBITED,
  NFT_REJECT_ICMPX_UNREACH,
  NFT_REJECT_TCP_RST,
  NFTA_FIB_F_IIF,
  NFTA_FIB_F_PRESENT,
  NFTA_FIB_F_SADDR,
} from "./expression_attributes.ts";
import { getGeneration } from "./generation.ts";
import { rangeElements } from "./interval.ts";
import { NFPROTO_INET, NFPROTO_IPV4 } from "./message.ts";
import { deleteRule, flushChain, newRule } from "./rule.ts";
import {
  concatType,
  deleteSet,
  newSet,
  NFT_SET_CONCAT,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  TYPE_IFNAME,
  TYPE_INET_PROTOCOL,
  TYPE_INET_SERVICE,
  TYPE_IP6ADDR,
  TYPE_IPADDR,
} from "./set.ts";
import { deleteTable, newTable } from "./table.ts";

const table = { family: NFPROTO_INET, name: "t" };

const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);
const hostOrder = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer);
const interfaceName = (name: string): Uint8Array => {
  const key = new Uint8Array(16);
  key.set(new TextEncoder().encode(name));
  return key;
};
const equals = (value: Uint8Array): Expression =>
  cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_EQ, value });
const verdict = (code: number, chain?: string): Expression =>
  immediate({ verdict: { code, chain } });
const load = (key: number, destinationRegister = NFT_REG_1): Expression =>
  meta({ key, destinationRegister });
const network = (offset: number): Expression =>
  payload({
    base: NFT_PAYLOAD_NETWORK_HEADER,
    offset,
    length: 4,
    destinationRegister: NFT_REG_1,
  });
const destinationPort = (destinationRegister = NFT_REG_1): Expression =>
  payload({ base: NFT_PAYLOAD_TRANSPORT_HEADER, offset: 2, length: 2, destinationRegister });
const isIpv4 = [load(NFT_META_NFPROTO), equals(bytes(NFPROTO_IPV4))];
const rule = (...expressions: readonly Expression[]): Request =>
  newRule({ table, chain: "f", expressions });

const REQUESTS: Readonly<Record<string, Request | undefined>> = {
  "newTable() with a comment": newTable({ table, comment: "hello" }),
  "deleteTable()": deleteTable(table),
  "newChain()": newChain({ table, name: "a" }),
  "newChain() on a hook": newChain({
    table,
    name: "f",
    hook: { hook: NF_INET_FORWARD, priority: -5, type: "filter", policy: "drop" },
    comment: "forwarded",
  }),
  "deleteChain()": deleteChain({ table, name: "a" }),
  "newSet() of addresses": newSet({
    table,
    name: "h",
    id: 1,
    flags: 0,
    keyType: TYPE_IPADDR,
    keyLength: 4,
    keyByteOrder: "network",
    description: { size: 100 },
    comment: "peers",
  }),
  "newSet() of ranges": newSet({
    table,
    name: "r",
    id: 1,
    flags: NFT_SET_INTERVAL,
    keyType: TYPE_IP6ADDR,
    keyLength: 16,
    keyByteOrder: "network",
  }),
  "newSet() of a concatenation with ranges": newSet({
    table,
    name: "c",
    id: 1,
    flags: NFT_SET_INTERVAL | NFT_SET_CONCAT,
    keyType: concatType(TYPE_IPADDR, TYPE_INET_PROTOCOL, TYPE_INET_SERVICE),
    keyLength: 12,
    description: { concat: [4, 1, 2] },
  }),
  "newSet() of verdicts by interface name": newSet({
    table,
    name: "m",
    id: 1,
    flags: NFT_SET_MAP,
    keyType: TYPE_IFNAME,
    keyLength: 16,
    keyByteOrder: "host",
    dataType: NFT_DATA_VERDICT,
    dataLength: 0,
  }),
  "deleteSet()": deleteSet({ table, name: "h" }),
  "newElements() of addresses": only(newElements({
    table,
    set: "h",
    setId: 1,
    elements: [{ key: bytes(10, 0, 0, 1), comment: "one" }, { key: bytes(10, 0, 0, 2) }],
  })),
  "newElements() of ranges": only(newElements({
    table,
    set: "r",
    setId: 2,
    elements: rangeElements([
      { first: bytes(10, 0, 0, 0), last: bytes(10, 0, 0, 255) },
      { first: bytes(255, 255, 255, 0), last: bytes(255, 255, 255, 255) },
    ]),
  })),
  "newElements() of a concatenation with ranges": only(newElements({
    table,
    set: "c",
    setId: 3,
    elements: [{
      key: bytes(10, 0, 0, 1, 6, 0, 0, 0, 0, 80, 0, 0),
      keyEnd: bytes(10, 0, 0, 1, 6, 0, 0, 0, 0, 90, 0, 0),
    }],
  })),
  "newElements() of verdicts": only(newElements({
    table,
    set: "m",
    setId: 4,
    elements: [
      { key: interfaceName("cali1"), data: { verdict: { code: NFT_JUMP, chain: "a" } } },
      { key: interfaceName("cali2"), data: { verdict: { code: NF_DROP } } },
    ],
  })),
  "deleteElements()": only(deleteElements({
    table,
    set: "h",
    elements: [{ key: bytes(10, 0, 0, 1) }],
  })),
  "newRule(): conntrack state, accept, comment": newRule({
    table,
    chain: "f",
    expressions: [
      ct({ key: NFT_CT_STATE, destinationRegister: NFT_REG_1 }),
      bitwise({
        sourceRegister: NFT_REG_1,
        destinationRegister: NFT_REG_1,
        mask: hostOrder(CT_STATE_ESTABLISHED | CT_STATE_RELATED),
      }),
      cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_NEQ, value: hostOrder(0) }),
      verdict(NF_ACCEPT),
    ],
    comment: "replies",
  }),
  "newRule(): verdict map": rule(
    load(NFT_META_IIFNAME),
    lookup({
      set: "m",
      setId: 4,
      sourceRegister: NFT_REG_1,
      destinationRegister: NFT_REG_VERDICT,
    }),
  ),
  "newRule(): interface prefix, counter": rule(
    load(NFT_META_IIFNAME),
    equals(new TextEncoder().encode("cali")),
    counter(),
    verdict(NF_DROP),
  ),
  "newRule(): address in set, goto": rule(
    ...isIpv4,
    network(12),
    lookup({ set: "h", setId: 1, sourceRegister: NFT_REG_1 }),
    verdict(NFT_GOTO, "a"),
  ),
  "newRule(): address not in set, masked address": rule(
    ...isIpv4,
    network(12),
    lookup({ set: "h", setId: 1, sourceRegister: NFT_REG_1, inverted: true }),
    network(16),
    {
      name: "bitwise",
      data: {
        sourceRegister: NFT_REG_1,
        destinationRegister: NFT_REG_1,
        operation: NFT_BITWISE_MASK_XOR,
        length: 4,
        mask: { value: bytes(255, 255, 0, 255) },
        xor: { value: bytes(0, 0, 0, 0) },
      },
    },
    equals(bytes(10, 0, 0, 1)),
    verdict(NFT_RETURN),
  ),
  "newRule(): concatenation in set": rule(
    ...isIpv4,
    network(16),
    load(NFT_META_L4PROTO, NFT_REG32_00 + 1),
    destinationPort(NFT_REG32_00 + 2),
    lookup({ set: "k", setId: 5, sourceRegister: NFT_REG_1 }),
    verdict(NF_ACCEPT),
  ),
  "newRule(): port range": rule(
    load(NFT_META_L4PROTO),
    equals(bytes(6)),
    destinationPort(),
    cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_GTE, value: bytes(0, 80) }),
    cmp({ sourceRegister: NFT_REG_1, operator: NFT_CMP_LTE, value: bytes(0, 90) }),
    verdict(NF_ACCEPT),
  ),
  "newRule(): outside a port range, set mark": rule(
    load(NFT_META_L4PROTO),
    equals(bytes(17)),
    destinationPort(),
    range({
      sourceRegister: NFT_REG_1,
      operator: NFT_RANGE_NEQ,
      from: bytes(0, 80),
      to: bytes(0, 90),
    }),
    immediate({ destinationRegister: NFT_REG_1, value: hostOrder(5) }),
    meta({ key: NFT_META_MARK, sourceRegister: NFT_REG_1 }),
  ),
  "newRule(): limit, log": rule(
    limit({ rate: 5, burst: 10 }),
    log({ prefix: "drop ", group: 3, snapLength: 128, queueThreshold: 1 }),
  ),
  "newRule(): byte limit exceeded, kernel log, TCP reset": rule(
    load(NFT_META_L4PROTO),
    equals(bytes(6)),
    limit({ rate: 10_240, unitSeconds: 60, type: NFT_LIMIT_PKT_BYTES, over: true }),
    log({ prefix: "k", level: NFT_LOGLEVEL_INFO }),
    reject({ type: NFT_REJECT_TCP_RST }),
  ),
  "newRule(): reject with the family's ICMP": rule(
    reject({ type: NFT_REJECT_ICMPX_UNREACH, code: NFT_REJECT_ICMPX_ADMIN_PROHIBITED }),
  ),
  "newRule(): original source address, direction": rule(
    ct({ key: NFT_CT_DIRECTION, destinationRegister: NFT_REG_1 }),
    equals(bytes(IP_CT_DIR_ORIGINAL)),
    ct({
      key: NFT_CT_SRC_IP,
      direction: IP_CT_DIR_ORIGINAL,
      destinationRegister: NFT_REG_1,
    }),
    equals(bytes(10, 0, 0, 1)),
    verdict(NF_ACCEPT),
  ),
  "newRule(): reverse path": rule(
    fib({
      result: NFT_FIB_RESULT_OIF,
      flags: NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT,
      destinationRegister: NFT_REG_1,
    }),
    equals(hostOrder(0)),
    verdict(NF_DROP),
  ),
  "flushChain()": flushChain({ table, chain: "a" }),
  "deleteRule()": deleteRule({ table, chain: "a", handle: 8n }),
};

function only(requests: readonly Request[]): Request {
  const [request] = requests;
  assert(request !== undefined && requests.length === 1);
  return request;
}

function payloadOf(request: Request): string {
  const writer = new Writer();
  request.write(writer);
  return writer.bytes.toHex();
}

const FLAG_NAMES = {
  NLM_F_REPLACE,
  NLM_F_EXCL,
  NLM_F_CREATE,
  NLM_F_APPEND,
  NLM_F_ECHO,
};

function flagsOf(request: Request): string {
  const names = Object.entries(FLAG_NAMES).filter(([, bit]) => (request.flags & bit) !== 0);
  return [request.name, names.map(([name]) => name).join("|")].join(" ").trimEnd();
}

interface Golden {
  readonly name: string;
  readonly message: string;
  readonly payload: string;
}

/** `== name`, `$ command`, message and flags, then bytes with a comment on each line. */
function parseGoldens(text: string): Golden[] {
  return text.split(/^== /m).slice(1).map((section) => {
    const [name = "", _command, message = "", ...lines] = section.trim().split("\n");
    return { name, message, payload: lines.map((it) => it.replace(/#.*| /g, "")).join("") };
  });
}

const GOLDENS = parseGoldens(
  Deno.readTextFileSync(
    new URL("../../../tests/golden/nftables/messages.txt", import.meta.url),
  ),
);

for (const golden of GOLDENS) {
  Deno.test({
    name: `${golden.name} writes what nft sends`,
    ignore: !HOST_IS_LITTLE_ENDIAN,
    fn() {
      const request = REQUESTS[golden.name];
      assert(request !== undefined, `No request for ${golden.name}`);
      assertEquals(flagsOf(request), golden.message);
      assertEquals(
        payloadOf(request).match(/.{8}/g),
        golden.payload.replaceAll(/\s/g, "").match(/.{8}/g),
      );
    },
  });
}

Deno.test("every request here has its golden", () => {
  assertEquals(GOLDENS.map((it) => it.name).sort(), Object.keys(REQUESTS).sort());
});

Deno.test("flags say how an object is made", () => {
  const chain = { table, chain: "a" };
  const expressions: Expression[] = [];
  const cases: readonly (readonly [Request, string])[] = [
    [newTable({ table, exclusive: true }), "NFT_MSG_NEWTABLE NLM_F_EXCL|NLM_F_CREATE"],
    [
      newChain({ table, name: "a", exclusive: true }),
      "NFT_MSG_NEWCHAIN NLM_F_EXCL|NLM_F_CREATE",
    ],
    [newRule({ ...chain, expressions, place: "first" }), "NFT_MSG_NEWRULE NLM_F_CREATE"],
    [
      newRule({ ...chain, expressions, place: { replace: 8n } }),
      "NFT_MSG_NEWRULE NLM_F_REPLACE",
    ],
    [
      newRule({ ...chain, expressions, echo: true }),
      "NFT_MSG_NEWRULE NLM_F_CREATE|NLM_F_APPEND|NLM_F_ECHO",
    ],
    [destroyChain({ table, name: "a" }), "NFT_MSG_DESTROYCHAIN"],
    [flushElements(table, "h"), "NFT_MSG_DELSETELEM"],
  ];
  for (const [request, expected] of cases) assertEquals(flagsOf(request), expected);
});

Deno.test("subjects name the object as nft writes it", () => {
  assertEquals(
    [
      newTable({ table }),
      newChain({ table: { family: NFPROTO_IPV4, name: "t" }, name: "a" }),
      newRule({ table, chain: "a", expressions: [], comment: "why" }),
      deleteRule({ table, chain: "a", handle: 8n }),
      deleteSet({ table, name: "h" }),
      flushElements(table, "h"),
    ].map((it) => it.subject),
    [
      "table inet t",
      "chain ip t a",
      'rule of chain inet t a "why"',
      "rule of chain inet t a handle 8",
      "set inet t h",
      "elements of set inet t h",
    ],
  );
});

Deno.test("transaction() stands between begin and end", () => {
  const inner = deleteTable(table);
  const requests = transaction([inner], 7);
  assertEquals(requests.map((it) => it.name), [
    "NFNL_MSG_BATCH_BEGIN",
    "NFT_MSG_DELTABLE",
    "NFNL_MSG_BATCH_END",
  ]);
  assertEquals(requests.map((it) => it.type), [0x10, 0x0a02, 0x11]);
  assertStrictEquals(requests[1], inner);
});

Deno.test("beginBatch() names subsystem and generation", () => {
  // nfgenmsg: family 0, version 0, res_id NFNL_SUBSYS_NFTABLES; NFNL_BATCH_GENID 7
  assertEquals(payloadOf(beginBatch(7)), "0000000a" + "08000100" + "00000007");
  assertEquals(payloadOf(beginBatch()), "0000000a");
  assertEquals(payloadOf(endBatch()), "0000000a");
  assertEquals(payloadOf(getGeneration()), "00000000");
});
