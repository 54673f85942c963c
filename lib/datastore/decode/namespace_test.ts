import { assertEquals } from "@std/assert";
import { decodeNamespace } from "./namespace.ts";

Deno.test("decodeNamespace() says when the isolation annotation is malformed, which isolates nothing", () => {
  const decode = (text: string): unknown => {
    const annotations = { "net.beta.kubernetes.io/network-policy": text };
    const { value, problems } = decodeNamespace({ metadata: { name: "x", annotations } });
    return [value?.isIsolated, problems.length];
  };
  assertEquals(decode('{"ingress":{"isolation":"DefaultDeny"}}'), [true, 0]);
  assertEquals(decode('{"ingress":{}}'), [false, 0]);
  const malformed = [
    "DefaultDeny",
    "null",
    "[]",
    '{"ingress":"DefaultDeny"}',
    '{"ingress":{"isolation":"defaultdeny"}}',
  ];
  for (const text of malformed) assertEquals(decode(text), [false, 1], text);
});
