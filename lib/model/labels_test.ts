import { assertEquals } from "@std/assert";
import { type LabelSelector, matchesLabels } from "./labels.ts";

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
