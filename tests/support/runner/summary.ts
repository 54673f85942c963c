/** The counts of a test run, out of the line with which `deno test` closes. */

/** How many tests did what. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Not run, because a filter left them out. */
  readonly filtered: number;
}

/**
 * Parses the last closing line in `output`, such as
 * `FAILED | 12 passed (3 steps) | 1 failed | 2 ignored | 4 filtered out (1m3s)`.
 *
 * @returns undefined where there is none: the run did not get to its end
 */
export function parseSummary(output: string): Summary | undefined {
  // deno-lint-ignore no-control-regex -- colours are made of control characters
  const lines = output.replaceAll(/\x1b\[[0-9;]*m/g, "").split("\n").map((it) => it.trim());
  const line = lines.findLast((it) => /^(ok|FAILED) \| \d+ passed .*\| \d+ failed /.test(it + " "));
  if (line === undefined) return undefined;
  const count = (word: string): number =>
    Number(new RegExp(`\\| (\\d+) ${word}\\b`).exec(line)?.[1] ?? 0);
  return {
    passed: count("passed"),
    failed: count("failed"),
    skipped: count("ignored"),
    filtered: count("filtered out"),
  };
}

/** The counts of two runs together. */
export function addSummaries(a: Summary, b: Summary): Summary {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    filtered: a.filtered + b.filtered,
  };
}

/** Whether a filter left out every test: a run that says nothing about the code. */
export function hasTriedNothing({ passed, failed, skipped, filtered }: Summary): boolean {
  return passed + failed + skipped === 0 && filtered > 0;
}

/** Formats the one line that stands last in a run: `tests: 12 passed, 0 failed, 1 skipped`. */
export function formatSummary({ passed, failed, skipped }: Summary): string {
  const rest = skipped === 0 ? "" : `, ${skipped} skipped`;
  return `tests: ${passed} passed, ${failed} failed${rest}`;
}
