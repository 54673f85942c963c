import { assertEquals } from "@std/assert";
import { formatTable } from "./table.ts";

const TABLES: readonly [string, readonly string[], readonly string[][], string][] = [
  ["no rows as the headings alone", ["NODE", "NAME"], [], "NODE   NAME   \n\n"],
  ["short columns five wide", ["A", "B"], [["x", ""]], "A    B    \nx         \n\n"],
  [
    "the longest cell plus three blanks, the last column too",
    ["NODE", "WORKLOAD", "NAME"],
    [["node-number-1", "default.a", "eth0"], ["n2", "default.bb", "eth0"]],
    "NODE            WORKLOAD     NAME   \n" +
    "node-number-1   default.a    eth0   \n" +
    "n2              default.bb   eth0   \n\n",
  ],
  ["characters, not bytes", ["NAME"], [["käse"], ["😀x"]], "NAME   \nkäse   \n😀x     \n\n"],
];
for (const [what, headings, rows, expected] of TABLES) {
  Deno.test(`formatTable() prints ${what}`, () => {
    assertEquals(formatTable(headings, rows), expected);
  });
}
