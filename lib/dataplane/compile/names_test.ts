import { assertEquals, assertMatch } from "@std/assert";
import type { DesiredPolicy } from "../../model/desired.ts";
import { cutComment, policyChainName } from "./names.ts";

function chainOf(name: string): string {
  const policy: DesiredPolicy = {
    id: name,
    direction: "ingress",
    tier: "namespaced",
    name,
    rules: [],
  };
  return policyChainName(policy);
}

Deno.test("policyChainName() is the policy's name, where nft reads that back", () => {
  assertEquals(chainOf("shop/web-1.v2"), "policy-ingress/shop/web-1.v2");
  const odd = ["shop/a:b", "shop/a b", 'shop/"', "shop/ü", "shop/\0", `shop/${"ü".repeat(300)}`];
  const names = [...odd, `shop/${"a".repeat(253)}`].map(chainOf);
  for (const name of names) assertMatch(name, /^[a-z][\w./-]{1,119}$/);
  assertEquals(new Set(names).size, names.length);
});

Deno.test("cutComment() is a line that nft takes", () => {
  assertEquals(cutComment('a "b"\nc'), "a 'b' c");
  const long = cutComment("ü".repeat(200));
  assertEquals(new TextEncoder().encode(long).length <= 127, true);
  assertMatch(long, /^ü+…$/);
});
