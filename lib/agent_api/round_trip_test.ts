/** What one side encodes the other decodes, through JSON text and bytes, whatever it is. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Address } from "../ip/address.ts";
import { Prefix } from "../ip/prefix.ts";
import { isRecord } from "../base/json.ts";
import type { Body } from "./body.ts";
import { decodeEndpoint, encodeEndpoint } from "./endpoint.ts";
import { decodeEndpoints, encodeEndpoints } from "./endpoint_list.ts";
import { formatRequest, parseAnswer, parseWaitMs } from "./message.ts";
import { decodeNode, encodeNode } from "./node.ts";
import { formatCall, parseCall, ROUTES } from "./route.ts";
import { decodeStatus, encodeStatus } from "./status.ts";

const address = fc.oneof(fc.ipV4(), fc.ipV6()).map((it) => Address.parse(it));
const prefix = fc.tuple(address, fc.nat(32)).map(([it, length]) => new Prefix(it, length));
const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?$/);
const ifname = fc.stringMatching(/^[A-Za-z0-9_-]{1,15}$/);
const sentence = fc.string({ minLength: 1, unit: "grapheme" });
const attachment = fc.record({
  containerId: fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}$/),
  ifname,
  namespace: name,
  pod: name,
  uid: fc.option(fc.stringMatching(/^[!-~]{1,40}$/), { nil: undefined }),
  interfaceName: ifname,
  addresses: fc.array(address, { minLength: 1, maxLength: 16 }),
});

/** What the other side reads of a body. */
function throughJson(body: Body): Body {
  const read: unknown = JSON.parse(JSON.stringify(body));
  assertEquals(isRecord(read), true);
  return read as Body;
}

Deno.test("every call comes back from its method and path", () => {
  const id = fc.record({ containerId: fc.string(), ifname: fc.string() });
  const call = fc.oneof(
    fc.constantFrom("getNode", "getEndpoints", "getStatus").map((route) => ({ route })),
    fc.record({ route: fc.constantFrom("putEndpoint", "deleteEndpoint"), id }),
  );
  fc.assert(fc.property(call, (it) => {
    assertEquals(parseCall(...formatCall(it)), it);
  }));
});

Deno.test("what is no route is no call", () => {
  const endpoint = "/v1/endpoints/c1/eth0";
  const others = ["/", "", "/v1", "/v1/", "/v1/node/", "/v1/endpoints/c1", `${endpoint}/more`]
    .map((path) => ["GET", path] as const);
  for (const [method, path] of [...others, ["POST", endpoint], ["PUT", "/v2/node"]] as const) {
    assertEquals(parseCall(method, path), undefined, `${method} ${path}`);
  }
  for (const [method, path] of Object.values(ROUTES)) {
    assertEquals(parseCall(method, path.replace("/v1/", "/v2/")), undefined, path);
  }
});

Deno.test("decodeNode() reads what encodeNode() writes", () => {
  const node = fc.record({
    nodeName: name,
    podCidrs: fc.array(prefix),
    mtu: fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
  });
  fc.assert(fc.property(node, (it) => {
    const read = decodeNode(throughJson(encodeNode(it)));
    assertEquals({ ...read, podCidrs: read.podCidrs.map(String) }, {
      ...it,
      podCidrs: it.podCidrs.map(String),
    });
  }));
});

Deno.test("decodeEndpoint() and decodeEndpoints() read what is written of an attachment", () => {
  fc.assert(fc.property(attachment, fc.boolean(), (it, isEnforced) => {
    const { containerId, ifname, interfaceName, uid, ...pod } = it;
    const addresses = it.addresses.map(String);
    const sent = { ...pod, ...(uid === undefined ? {} : { uid }), interface: interfaceName };
    const body = throughJson(encodeEndpoint({ ...sent, addresses, netns: "/run/netns/a" }));
    const read = decodeEndpoint({ containerId, ifname }, body);
    assertEquals({ ...read, addresses: read.addresses.map(String) }, { ...it, addresses });
    const list = throughJson(encodeEndpoints([it], () => isEnforced));
    assertEquals(decodeEndpoints(list), [{ ...it, addresses, isEnforced }]);
  }));
});

Deno.test("decodeStatus() reads what encodeStatus() writes", () => {
  const count = fc.nat();
  const status = fc.record({
    version: name,
    node: name,
    server: name.map((it) => `https://${it}:6443`),
    unreadyReason: fc.option(sentence, { nil: undefined }),
    objects: fc.dictionary(name, count, { noNullPrototype: true }),
    applied: fc.record({ applied: count, failed: count, durationMs: count, appliedAtMs: count }),
    isTableOwned: fc.option(fc.boolean(), { nil: undefined }),
  });
  fc.assert(fc.property(status, (it) => {
    assertEquals(decodeStatus(throughJson(encodeStatus(it))), it);
  }));
});

Deno.test("parseAnswer() reads an answer, and never throws over what is none", () => {
  const answer = (head: string, body: string): ReturnType<typeof parseAnswer> =>
    parseAnswer(new TextEncoder().encode(`${head}\r\n\r\n${body}`));
  assertEquals(answer("HTTP/1.1 200 OK", '{"a":1}'), { status: 200, body: { a: 1 } });
  assertEquals(answer("HTTP/1.0 503 x\r\na: b", "[]"), { status: 503, body: undefined });
  assertEquals(answer("HTTP/1.1 500 x", "no JSON"), { status: 500, body: undefined });
  assertEquals(answer("HTTP/2 200", "{}"), undefined);
  assertEquals(parseAnswer(new TextEncoder().encode("HTTP/1.1 200 OK\r\n{}")), undefined);
  fc.assert(fc.property(fc.uint8Array(), (it) => {
    parseAnswer(new Uint8Array(it));
  }));
});

Deno.test("parseWaitMs() reads the time that formatRequest() sends, within bounds", () => {
  fc.assert(fc.property(fc.nat(120_000), (waitMs) => {
    const call = { route: "putEndpoint", id: { containerId: "c1", ifname: "eth0" } } as const;
    const text = new TextDecoder().decode(formatRequest({ call, waitMs, body: {} }));
    assertEquals(parseWaitMs(/^x-timeout-ms: (.*)\r$/m.exec(text)?.[1] ?? null), waitMs);
  }));
  const cases = [[null, 10_000], ["x", 10_000], ["-1", 0], ["1e9", 120_000], ["", 0]] as const;
  for (const [text, waitMs] of cases) assertEquals(parseWaitMs(text), waitMs, `${text}`);
});
