/** What a benchmark says: tables of numbers, for people and as data. */

import type { Sample } from "./sample.ts";

/** A number keeps its digits until it is printed; `undefined` was not measured. */
export type Cell = string | number | undefined;

/** One table. */
export interface Table {
  readonly title: string;
  /** What exactly is measured, in a few sentences. */
  readonly what: string;
  /** The first one names the rows; units stand in the names. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** The columns that every sample has. */
export const QUANTILES = ["median", "p90", "p99"] as const;

/** The cells under {@link QUANTILES}. */
export function quantiles(sample: Sample): readonly number[] {
  return [sample.median, sample.p90, sample.p99];
}

/** How many times `value` is as much as `base`. */
export function ratio(value: number, base: number | undefined): string | undefined {
  if (base === undefined || !(base > 0) || !Number.isFinite(value)) return undefined;
  const times = value / base;
  return `${times >= 100 ? times.toFixed(0) : times >= 10 ? times.toFixed(1) : times.toFixed(2)}×`;
}

/** Formats a table: the text in front to the left, everything else to the right. */
export function formatTable({ title, what, columns, rows }: Table): string {
  const lines = [columns, ...rows.map((row) => row.map(formatCell))]
    .map((row) => columns.map((_, column) => `${row[column] ?? ""}`));
  const widths = columns.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0))
  );
  const text = lines.map((line) =>
    line.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    }).join("  ").trimEnd()
  );
  const rule = "─".repeat(widths.reduce((sum, width) => sum + width + 2, -2));
  return [`## ${title}`, ...wrap(what), "", text[0], rule, ...text.slice(1), ""].join("\n");
}

function formatCell(cell: Cell): string {
  if (cell === undefined) return "–";
  if (typeof cell === "string") return cell;
  if (!Number.isFinite(cell)) return "–";
  if (Number.isInteger(cell)) return String(cell);
  const size = Math.abs(cell);
  return cell.toFixed(size < 0.1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0);
}

const LINE_LENGTH_MAX = 100;

function wrap(text: string): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > LINE_LENGTH_MAX) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}
