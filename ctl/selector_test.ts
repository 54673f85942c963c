import { assertEquals, assertThrows } from "@std/assert";
import { formatSelector } from "../lib/model/labels.ts";
import { CtlError } from "./error.ts";
import { parseSelector } from "./selector.ts";

const SELECTORS: readonly [string, string][] = [
  ["", "<all>"],
  ["app=web", "app=web"],
  ["app==web", "app=web"],
  [" app = web , tier!=db", "app=web,tier notin (db)"],
  ["tier in (b, a),app", "app,tier in (a,b)"],
  ["tier notin (a),!legacy", "!legacy,tier notin (a)"],
  ["calico/k8s_ns=kube-system", "calico/k8s_ns=kube-system"],
  ["empty=", "empty="],
];
for (const [text, expected] of SELECTORS) {
  Deno.test(`parseSelector() reads "${text}"`, () => {
    assertEquals(formatSelector(parseSelector(text)), expected);
  });
}

for (
  const text of ["app=we b", "=web", "app=web,", "tier in a,b", "has(app)", "app == 'web'", "!"]
) {
  Deno.test(`parseSelector() refuses "${text}"`, () => {
    assertThrows(() => parseSelector(text), CtlError, "Cannot read");
  });
}
