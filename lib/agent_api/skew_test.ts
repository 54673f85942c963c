/**
 * Programs of different versions on one node: today's code and the bytes of version 0.1, both ways, and
 * answers as a later version may send them.
 */

import { assertEquals } from "@std/assert";
import {
  answerOf,
  type ExchangeName,
  nodeFileText,
  requestOf,
} from "../../tests/support/golden/agent_api_bytes.ts";
import { isRecord } from "../base/json.ts";
import type { Body } from "./body.ts";
import { encodeEndpoint } from "./endpoint.ts";
import { decodeEndpoints } from "./endpoint_list.ts";
import { type ApiRequest, decodeFailure, formatRequest, parseAnswer } from "./message.ts";
import { decodeNode } from "./node.ts";
import { ROUTES } from "./route.ts";
import { decodeStatus } from "./status.ts";

const ID = { containerId: "9b1c5f0c2ad94d6f8a0e", ifname: "eth0" };
const POD = { namespace: "shop", pod: "web-0", interface: "cali1a2b3c4d5e6" };
const UID = "6f2c1c5e-6a2b-4f0e-9d55-0a7f5f0f9b11";
const ADDRESSES = ["10.244.7.2", "fd00:10:244:7::2"];
const SENT = encodeEndpoint({ ...POD, addresses: ADDRESSES, netns: "/run/netns/cni-1" });

/** Today's requests, by the names of those of 0.1 that ask the same. */
const REQUESTS: Readonly<Partial<Record<ExchangeName, ApiRequest>>> = {
  get_node: { call: { route: "getNode" } },
  get_status: { call: { route: "getStatus" } },
  get_endpoints: { call: { route: "getEndpoints" } },
  delete_endpoint: { call: { route: "deleteEndpoint", id: ID } },
  put_endpoint: {
    ...{ call: { route: "putEndpoint", id: ID }, waitMs: 10_000 },
    body: { ...SENT, uid: UID },
  },
  put_endpoint_without_uid: {
    call: { route: "putEndpoint", id: { ...ID, containerId: "c2" } },
    ...{ waitMs: 10_000, body: SENT },
  },
};

/** The first line, the headers and the body of a message. */
function partsOf(bytes: Uint8Array): {
  readonly line: string;
  readonly headers: readonly string[];
  readonly body: Body;
} {
  const [head = "", text = ""] = new TextDecoder().decode(bytes).split("\r\n\r\n");
  const [line = "", ...headers] = head.split("\r\n");
  return { line, headers, body: text === "" ? {} : JSON.parse(text) };
}

/** The body of an answer of 0.1. */
function bodyOf(name: ExchangeName): Body {
  return parseAnswer(answerOf(name))?.body ?? {};
}

/** The body as a later version may send it: with more fields, everywhere. */
function newer(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(newer);
  if (!isRecord(value)) return value;
  const known = Object.entries(value).map(([name, it]) => [name, newer(it)]);
  return { laterFlag: true, laterList: [{ a: 1 }], ...Object.fromEntries(known), later: { b: [] } };
}

const NODE = { nodeName: "node-1", podCidrs: ["10.244.7.0/24", "fd00:10:244:7::/64"], mtu: 1450 };
const ENDPOINT = {
  ...{ ...ID, namespace: "shop", pod: "web-0", uid: UID },
  ...{ interfaceName: "cali1a2b3c4d5e6", addresses: ADDRESSES, isEnforced: true },
};
const STATUS = {
  ...{ version: "0.1.0", node: "node-1", server: "https://10.96.0.1:443" },
  unreadyReason: undefined,
  objects: { workload: 12, namespace: 4, policy: 3, clusterPolicy: 0, node: 2 },
  applied: { applied: 7, failed: 0, durationMs: 2.5, appliedAtMs: 1767225600000 },
  isTableOwned: true,
};

function readNode(body: Body): unknown {
  const node = decodeNode(body);
  return { ...node, podCidrs: node.podCidrs.map(String) };
}

/** Answers of 0.1 and what they say. */
const ANSWERS: readonly (readonly [ExchangeName, (body: Body) => unknown, unknown])[] = [
  ["get_node", readNode, NODE],
  ["get_node_unknown", decodeFailure, decodeFailure(bodyOf("get_node_unknown"))],
  ["get_status", decodeStatus, STATUS],
  ["get_status_unready", decodeStatus, {
    ...STATUS,
    unreadyReason: "Not every policy is known yet: listing",
  }],
  ["get_endpoints", decodeEndpoints, [ENDPOINT]],
  ["put_endpoint_detached", decodeFailure, decodeFailure(bodyOf("put_endpoint_detached"))],
];

Deno.test("an agent of 0.1 finds in today's requests all that it looks for", () => {
  for (const [name, request] of Object.entries(REQUESTS)) {
    const old = partsOf(requestOf(name as ExchangeName));
    const today = partsOf(formatRequest(request));
    assertEquals(today.line, old.line, name);
    const isSize = (it: string): boolean => it.startsWith("content-length");
    const lacking = old.headers.filter((it) => !isSize(it) && !today.headers.includes(it));
    assertEquals(lacking, [], name);
    const fields = Object.keys(old.body).map((it) => [it, today.body[it]]);
    assertEquals(Object.fromEntries(fields), old.body, name);
  }
});

Deno.test("what an agent of 0.1 answers, and wrote beside its socket, is read as it meant it", () => {
  for (const [name, decode, expected] of ANSWERS) {
    assertEquals(decode(bodyOf(name)), expected, name);
  }
  assertEquals(readNode(JSON.parse(nodeFileText())), NODE);
});

Deno.test("answers of a later agent are read as those of today: what is not known is ignored", () => {
  for (const [name, decode, expected] of ANSWERS) {
    const { objects, ...body } = newer(bodyOf(name)) as Body;
    const known = objects === undefined ? {} : { objects: bodyOf(name).objects };
    assertEquals(decode({ ...body, ...known }), expected, name);
  }
});

Deno.test("a field that is missing, null or of another type means what its comment says", () => {
  const cases: readonly (readonly [string, (body: Body) => unknown, unknown, Body])[] = [
    ["node", readNode, { nodeName: "", podCidrs: [], mtu: undefined }, {
      ...{ nodeName: 1, podCIDRs: "10.0.0.0/8", mtu: "1500" },
    }],
    ["mtu 0", readNode, { nodeName: "", podCidrs: [], mtu: undefined }, { mtu: 0 }],
    ["some CIDRs", readNode, { nodeName: "", podCidrs: ["10.0.0.0/8"], mtu: undefined }, {
      podCIDRs: ["10.0.0.0/8", "10.0.0.0/99", "x"],
    }],
    ["failure", decodeFailure, "no reason given", { error: { text: "x" } }],
    ["endpoints", decodeEndpoints, [], { endpoints: { c1: {} } }],
    ["endpoint", decodeEndpoints, [{
      ...{ containerId: "", ifname: "", namespace: "", pod: "", uid: undefined },
      ...{ interfaceName: "", addresses: [], isEnforced: undefined },
    }], { endpoints: [{ containerID: 1, addresses: [1], enforced: "yes" }] }],
    ["status", decodeStatus, {
      ...{ version: "", node: "", server: "", unreadyReason: undefined, objects: {} },
      applied: { applied: 0, failed: 0, durationMs: 0, appliedAtMs: 0 },
      isTableOwned: undefined,
    }, { version: 2, ready: 1, objects: [], applied: "much", tableOwned: "yes" }],
  ];
  for (const [name, decode, expected, wrong] of cases) {
    assertEquals(decode(wrong), expected, name);
    if (name === "some CIDRs" || name === "endpoint") continue;
    const nulls = Object.keys(wrong).map((it) => [it, null]);
    for (const body of [{}, Object.fromEntries(nulls)]) assertEquals(decode(body), expected, name);
  }
});

Deno.test("docs/agent_api.md names every route", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/agent_api.md", import.meta.url));
  const rows = [...text.matchAll(/^\| `([A-Z]+) (\/\S+)`/gm)].map((
    [, method, path],
  ) => [method, path]);
  assertEquals(rows, Object.values(ROUTES).map((it) => [...it]));
});
