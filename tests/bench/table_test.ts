import { assertEquals } from "@std/assert";
import { formatTable, ratio } from "./table.ts";

Deno.test("formatTable() aligns numbers to the right and marks what was not measured", () => {
  const table = {
    title: "start",
    what: "How long it takes.",
    columns: ["program", "median ms", "ratio"],
    rows: [["bare", 61.25, "1.00×"], ["ptp", 4, undefined], ["calyx", 0.0123, ratio(3, 2)]],
  };
  assertEquals(
    formatTable(table),
    `## start
How long it takes.

program  median ms  ratio
─────────────────────────
bare          61.3  1.00×
ptp              4      –
calyx        0.012  1.50×
`,
  );
});

Deno.test("ratio() says nothing without a base", () => {
  assertEquals([ratio(1, undefined), ratio(1, 0), ratio(NaN, 1)], [
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals([ratio(2500, 1), ratio(25, 2)], ["2500×", "12.5×"]);
});
