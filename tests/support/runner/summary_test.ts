import { assertEquals } from "@std/assert";
import { formatSummary, hasTriedNothing, parseSummary } from "./summary.ts";

const lines = [
  ["ok | 12 passed | 0 failed (30ms)", "tests: 12 passed, 0 failed"],
  ["ok | 12 passed | 0 failed | 1 ignored (1m3s)", "tests: 12 passed, 0 failed, 1 skipped"],
  [
    "ok | 2 passed (3 steps) | 0 failed | 1 ignored (4 steps) (5ms)",
    "tests: 2 passed, 0 failed, 1 skipped",
  ],
  ["FAILED | 3 passed (1 step) | 2 failed (1 step) (5ms)", "tests: 3 passed, 2 failed"],
  ["FAILED | 0 passed | 1 failed (0ms)\n\nerror: Test failed\n", "tests: 0 passed, 1 failed"],
  ["ok | 1 passed | 0 failed | 2 measured | 9 filtered out (3ms)", "tests: 1 passed, 0 failed"],
  ["\x1b[32mok\x1b[0m | 4 passed | 0 failed \x1b[90m(1s)\x1b[0m", "tests: 4 passed, 0 failed"],
  [
    "ok | 1 passed | 0 failed (1ms)\nFAILED | 2 passed | 3 failed (1ms)",
    "tests: 2 passed, 3 failed",
  ],
] as const;

for (const [line, expected] of lines) {
  Deno.test(`parseSummary() reads ${JSON.stringify(line)}`, () => {
    const summary = parseSummary(line);
    assertEquals(summary && formatSummary(summary), expected);
  });
}

Deno.test("parseSummary() knows when a run did not end", () => {
  assertEquals(parseSummary("running 3 tests\nsome test ... ok (3ms)\nok | nothing"), undefined);
  assertEquals(parseSummary(""), undefined);
});

Deno.test("parseSummary() counts what a filter left out", () => {
  assertEquals(parseSummary("ok | 0 passed | 0 failed | 9 filtered out (3ms)")?.filtered, 9);
});

Deno.test("hasTriedNothing() tells a filter that matches no test from one that matches a skipped one", () => {
  const of = (line: string): boolean | undefined => {
    const summary = parseSummary(line);
    return summary && hasTriedNothing(summary);
  };
  assertEquals(of("ok | 0 passed | 0 failed | 9 filtered out (3ms)"), true);
  assertEquals(of("ok | 0 passed | 0 failed | 1 ignored | 9 filtered out (3ms)"), false);
  assertEquals(of("ok | 1 passed | 0 failed | 9 filtered out (3ms)"), false);
});
