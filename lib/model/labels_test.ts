import { assertEquals, assertNotEquals } from "@std/assert";
import { formatSelector, type LabelSelector, matchesLabels } from "./labels.ts";

Deno.test("matchesLabels() says the same of few values and of thousands", () => {
  for (const count of [1, 15, 16, 5_000]) {
    const values = Array.from({ length: count }, (_, index) => `v${index}`);
    const [among, apart]: readonly LabelSelector[] = [
      [{ key: "a", operator: "In", values }],
      [{ key: "a", operator: "NotIn", values }],
    ];
    const said = [{ a: `v${count - 1}` }, { a: "w" }, {}].map((labels) => [
      matchesLabels(among ?? [], labels),
      matchesLabels(apart ?? [], labels),
    ]);
    assertEquals(said, [[true, false], [false, true], [false, true]], `${count} values`);
  }
});

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
