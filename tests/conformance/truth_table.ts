/** Truth tables of the case files: rows ask, columns answer, one character a cell. */

import type { Json } from "./json.ts";

/** What a character says: whether it gets through, or (a text) why that cannot be said. */
export type Mark = boolean | string;

const MARKS: Readonly<Record<string, Mark>> = {
  ".": true,
  "X": false,
  "P": "the destination has no port of that name",
  "N": "the destination does not serve that port by that protocol",
  "!": "the suite could not check it",
  "?": "the suite does not know",
  "#": "the suite leaves it open",
};

/**
 * Reads a table of `size` rows and columns.
 *
 * @throws {SyntaxError} if it has another size, or a character that says nothing
 */
export function readTable(table: Json, size: number): readonly (readonly Mark[])[] {
  const rows = table.list().map((row) => {
    const marks = [...row.text()].map((it) => MARKS[it]);
    if (marks.length === size && !marks.includes(undefined)) {
      return marks.filter((it) => it !== undefined);
    }
    throw new SyntaxError(`${row.path}: ${size} of ${Object.keys(MARKS).join(" ")} are expected`);
  });
  if (rows.length === size) return rows;
  throw new SyntaxError(`${table.path}: ${size} rows are expected`);
}
