import { assertEquals, assertNotEquals } from "@std/assert";
import { formatSelector, type LabelSelector } from "./labels.ts";

function is(key: string, ...values: string[]): LabelSelector[number] {
  return { key, operator: "In", values };
}

Deno.test("formatSelector() has one text for selectors that say the same", () => {
  assertEquals(formatSelector([]), "<all>");
  assertEquals(formatSelector([is("b", "y", "x"), is("a", "1")]), "a=1,b in (x,y)");
  assertEquals(formatSelector([is("a", "1"), is("b", "x", "y", "x")]), "a=1,b in (x,y)");
});

Deno.test("formatSelector() has different texts for selectors that say something else", () => {
  const pairs: readonly (readonly [LabelSelector, LabelSelector])[] = [
    [[is("a", "1,b=2")], [is("a", "1"), is("b", "2")]],
    [[is("a", "1,2", "3")], [is("a", "1", "2", "3")]],
    [[is("a", "1] | pods y/[a=2")], [is("a", "1")]],
    [[is("a", '"')], [is("a", '\\"')]],
    [[{ key: "!a", operator: "Exists", values: [] }], [{
      ...{ key: "a", operator: "DoesNotExist", values: [] },
    }]],
  ];
  for (const [a, b] of pairs) assertNotEquals(formatSelector(a), formatSelector(b));
  assertEquals(formatSelector([is("a", "1] | x")]), 'a="1] | x"');
});
