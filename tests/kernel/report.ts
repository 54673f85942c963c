/** What became of each group under each kernel, out of the lines that a machine writes; and as a table. */

import { parseSummary, type Summary } from "../support/runner/summary.ts";
import { parseEvent } from "./job.ts";

/** One line of the table. */
export interface Result extends Omit<Summary, "filtered"> {
  readonly kernel: string;
  readonly group: string;
  readonly seconds: number;
  /** Why tests were skipped, and what was not as it should be. */
  readonly notes: readonly string[];
}

/** How a run came to its end. */
export type Ending =
  | { readonly kind: "done" | "out of time" }
  /** The machine went away. */
  | { readonly kind: "crashed"; readonly lastWords: string };

/** Follows what one machine writes. */
export class KernelReport {
  /** What the kernel calls itself; undefined as long as the machine is not up. */
  release: string | undefined;
  /** Whether every group has had its turn. */
  isDone = false;
  readonly #kernel: string;
  readonly #groups: readonly string[];
  readonly #results = new Map<string, Result>();
  #running: string | undefined;
  #lines: string[] = [];

  /** @param groups names, in their order */
  constructor(kernel: string, groups: readonly string[]) {
    this.#kernel = kernel;
    this.#groups = groups;
  }

  /** Takes a line; false when it was said by the machine itself, not by a test. */
  take(line: string): boolean {
    const event = parseEvent(line);
    switch (event?.kind) {
      case undefined:
        this.#lines.push(line);
        return true;
      case "up":
        this.release = event.release;
        return false;
      case "begin":
        this.#running = event.group;
        this.#lines = [];
        return false;
      case "end": {
        const { code, group, seconds } = event;
        const fault = code === undefined ? "stopped, because it hung" : undefined;
        this.#results.set(group, this.#result(group, seconds, code === 0, fault));
        this.#running = undefined;
        return false;
      }
      case "done":
        this.isDone = true;
        return false;
    }
  }

  /** One result for each group, also for those that have not had their turn. */
  results(ending: Ending): readonly Result[] {
    return this.#groups.map((group) => {
      const result = this.#results.get(group);
      if (result !== undefined) return result;
      if (group !== this.#running) return this.#notRun(group, ending);
      if (ending.kind !== "crashed") return this.#result(group, 0, true, undefined, "time is over");
      return this.#result(group, 0, false, `the machine went away: ${ending.lastWords}`);
    });
  }

  #notRun(group: string, ending: Ending): Result {
    const kernel = this.release ?? this.#kernel;
    const why = ending.kind === "crashed" ? "the machine went away before" : "time is over";
    return { kernel, group, passed: 0, failed: 0, skipped: 1, seconds: 0, notes: [why] };
  }

  #result(
    group: string,
    seconds: number,
    succeeded: boolean,
    fault: string | undefined,
    note?: string,
  ): Result {
    const summary = parseSummary(this.#lines.join("\n")) ?? countLines(this.#lines);
    // A sanitizer or an uncaught error may fail a run in which every test passed.
    const failed = Math.max(succeeded ? 0 : 1, summary.failed + (fault === undefined ? 0 : 1));
    const notes = [
      ...(fault === undefined ? [] : [fault]),
      ...(note === undefined ? [] : [note]),
      ...namesOfFailed(this.#lines).map((it) => `failed: ${it}`),
      ...reasonsOf(this.#lines).map((it) => `skipped: ${it}`),
    ];
    const { passed, skipped } = summary;
    return {
      kernel: this.release ?? this.#kernel,
      ...{ group, passed, failed, seconds, notes },
      skipped: note === undefined ? skipped : skipped + 1,
    };
  }
}

/** What a run that did not come to its closing line had said until then. */
function countLines(lines: readonly string[]): Summary {
  const count = (end: RegExp): number => lines.filter((it) => end.test(it)).length;
  return {
    // A test that takes long is said to do so, and its result stands on the next line.
    passed: count(/^(\S.* \.\.\.)? ok \(/),
    failed: count(/^(\S.* \.\.\.)? FAILED \(/),
    skipped: count(/^(\S.* \.\.\.)? ignored \(/),
    filtered: 0,
  };
}

function namesOfFailed(lines: readonly string[]): readonly string[] {
  const names = lines.flatMap((it) => /^(.+ => \.\/.+_test\.ts):\d+:\d+$/.exec(it)?.[1] ?? []);
  return [...new Set(names.map((it) => it.replace(" => ./", ", ")))];
}

function reasonsOf(lines: readonly string[]): readonly string[] {
  const reasons = lines.flatMap((it) => /^skipped, because (.+): .+$/.exec(it)?.[1] ?? []);
  return [...new Set(reasons)];
}

/** The table, its notes below each line that has some. */
export function formatTable(results: readonly Result[]): string {
  const rows = [
    ["kernel", "group", "passed", "failed", "skipped", "seconds"],
    ...results.map((it) => [
      ...[it.kernel, it.group, it.passed, it.failed, it.skipped, it.seconds].map(String),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((it) => it[i]?.length ?? 0)));
  const lines = rows.map((row) =>
    row.map((it, i) => i < 2 ? it.padEnd(widths[i] ?? 0) : it.padStart(widths[i] ?? 0)).join("  ")
  );
  return lines.flatMap((line, index) => [
    line,
    ...(results[index - 1]?.notes ?? []).map((it) => `  ${it}`),
  ]).map((it) => `${it}\n`).join("");
}

/** All of it in one count. */
export function sumUp(results: readonly Result[]): Summary {
  const sum = (key: "passed" | "failed" | "skipped"): number =>
    results.reduce((total, it) => total + it[key], 0);
  return { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped"), filtered: 0 };
}
