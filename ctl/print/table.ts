/**
 * Tables as `calicoctl get` prints them, so that scripts that cut columns keep working: the cells
 * of a column are padded by three blanks and to at least five characters, the last column too, and
 * one blank line follows.
 */

/** Fewest characters of a column, padding included. */
const WIDTH_MIN = 5;

/** Blanks after the longest cell of a column. */
const PADDING = 3;

/** Formats a heading line, `rows` of as many cells, and the blank line after them. */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) =>
    lines.reduce((width, cells) => Math.max(width, lengthOf(cells[column]) + PADDING), WIDTH_MIN)
  );
  const format = (cells: readonly string[]): string =>
    widths.map((width, column) => pad(cells[column] ?? "", width)).join("");
  return lines.map(format).join("\n") + "\n\n";
}

/** Characters, not UTF-16 units. */
function lengthOf(cell = ""): number {
  return [...cell].length;
}

function pad(cell: string, width: number): string {
  return cell + " ".repeat(width - lengthOf(cell));
}
