/** What came of the cells: single outcomes, their counts, and the lines that people read. */

import type { Family } from "../../lib/ip/address.ts";
import type { CaseStep, Cell, ConformanceCase, Expectation } from "./case.ts";

/** Where a cell stands. */
export interface CellPlace {
  readonly suite: string;
  readonly case: string;
  /** From 1. */
  readonly step: number;
  readonly cell: Cell;
  readonly family: Family;
}

/** What came of one cell over one family. */
export type Outcome =
  | CellPlace & { readonly kind: "right" }
  | CellPlace & { readonly kind: "skipped"; readonly reason: string }
  | CellPlace & {
    readonly kind: "wrong";
    readonly expected: string;
    readonly got: string;
    readonly reason: string;
  };

/** Every cell of a step over `family`, or both, where the cell does not say which. */
export function placesOf(
  { suite, name }: ConformanceCase,
  step: CaseStep,
  stepIndex: number,
  families: readonly Family[],
): readonly CellPlace[] {
  return step.cells.flatMap((cell) =>
    families
      .filter((family) => cell.family === undefined || cell.family === family)
      .map((family) => ({ suite, case: name, step: stepIndex + 1, cell, family }))
  );
}

/** Formats a verdict, by direction where the case asks: `blocked (ingress allowed, …)`. */
export function formatExpectation({ combined, ingress, egress }: Expectation): string {
  const word = (allowed: boolean): string => allowed ? "allowed" : "blocked";
  const sides = [
    ...(ingress === undefined ? [] : [`ingress ${word(ingress)}`]),
    ...(egress === undefined ? [] : [`egress ${word(egress)}`]),
  ];
  return word(combined) + (sides.length === 0 ? "" : ` (${sides.join(", ")})`);
}

/** Formats a cell that is wrong, for people: which it is, and on a second line what is wrong. */
export function formatOutcome(run: string, outcome: Outcome & { kind: "wrong" }): string {
  const { cell, family } = outcome;
  const what = `${cell.from} → ${cell.to}, ${cell.protocol}/${cell.port}, IPv${family}`;
  const reason = outcome.reason === "" ? "" : ` (${outcome.reason})`;
  return `wrong (${run}): ${outcome.suite}, ${outcome.case}, step ${outcome.step}: ${what}\n` +
    `  expected ${outcome.expected}, got ${outcome.got}${reason}`;
}

/** Counts of outcomes. */
export class Tally {
  right = 0;
  readonly wrong: (Outcome & { kind: "wrong" })[] = [];
  /** How many cells were skipped for each reason. */
  readonly skipped = new Map<string, number>();

  add(outcome: Outcome): void {
    if (outcome.kind === "right") this.right++;
    else if (outcome.kind === "wrong") this.wrong.push(outcome);
    else this.skipped.set(outcome.reason, (this.skipped.get(outcome.reason) ?? 0) + 1);
  }

  get skippedCount(): number {
    return [...this.skipped.values()].reduce((sum, it) => sum + it, 0);
  }
}

/** The one line that stands last: `cells: 10 right, 0 wrong, 2 skipped`. */
export function formatTallies(tallies: readonly Tally[]): string {
  const sum = (count: (tally: Tally) => number): number =>
    tallies.reduce((total, it) => total + count(it), 0);
  return `cells: ${sum((it) => it.right)} right, ${sum((it) => it.wrong.length)} wrong, ` +
    `${sum((it) => it.skippedCount)} skipped`;
}
