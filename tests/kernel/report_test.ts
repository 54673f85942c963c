import { assertEquals } from "@std/assert";
import { type Event, formatEvent } from "./job.ts";
import { formatTable, KernelReport, sumUp } from "./report.ts";

const UP: Event = { kind: "up", release: "6.1.0-1-amd64" };
const end = (group: string, code?: number): Event => ({ kind: "end", group, code, seconds: 7 });
const CLOSING = "FAILED | 3 passed | 1 failed | 2 ignored (5s)";

function read(lines: readonly (string | Event)[]): KernelReport {
  const report = new KernelReport("6.1", ["a", "b"]);
  for (const it of lines) report.take(typeof it === "string" ? it : formatEvent(it));
  return report;
}

Deno.test("KernelReport counts each group by its closing line, and says why", () => {
  const report = read([
    UP,
    { kind: "begin", group: "a" },
    "skipped, because nft not found (Debian: apt-get install nftables): one",
    "skipped, because nft not found (Debian: apt-get install nftables): two",
    "it works => ./tests/x_test.ts:3:6",
    "it works => ./tests/x_test.ts:3:6",
    CLOSING,
    end("a", 1),
    { kind: "begin", group: "b" },
    "ok | 2 passed | 0 failed (1s)",
    end("b", 0),
    { kind: "done" },
  ]);
  const results = report.results({ kind: "done" });
  assertEquals(results, [
    {
      ...{ kernel: "6.1.0-1-amd64", group: "a", passed: 3, failed: 1, skipped: 2, seconds: 7 },
      notes: [
        "failed: it works, tests/x_test.ts",
        "skipped: nft not found (Debian: apt-get install nftables)",
      ],
    },
    {
      ...{ kernel: "6.1.0-1-amd64", group: "b", passed: 2, failed: 0, skipped: 0, seconds: 7 },
      notes: [],
    },
  ]);
  assertEquals(sumUp(results), { passed: 5, failed: 1, skipped: 2, filtered: 0 });
});

Deno.test("KernelReport counts what a group said before it hung, or the machine went away", () => {
  const begun = [
    UP,
    { kind: "begin", group: "a" },
    "one ...'one' has been running for over (1m0s)",
    " ok (1m6s)",
    "  a step ... ok (1s)",
    "two ... FAILED (1s)",
  ] as const;
  const counts = (report: KernelReport, ending: Parameters<KernelReport["results"]>[0]) =>
    report.results(ending).map(({ passed, failed, skipped, notes }) => [
      ...[passed, failed, skipped],
      notes[0],
    ]);
  const crashed = { kind: "crashed", lastWords: "Kernel panic" } as const;
  assertEquals(counts(read([...begun]), crashed), [
    [1, 2, 0, "the machine went away: Kernel panic"],
    [0, 0, 1, "the machine went away before"],
  ]);
  assertEquals(counts(read([...begun, end("a")]), { kind: "done" })[0], [
    ...[1, 2, 0],
    "stopped, because it hung",
  ]);
  // Time that is over is no fault, but a test that failed before has failed.
  assertEquals(counts(read([...begun]), { kind: "out of time" }), [
    [1, 1, 1, "time is over"],
    [0, 0, 1, "time is over"],
  ]);
});

Deno.test("KernelReport counts one failure where none is named", () => {
  const report = read([
    UP,
    { kind: "begin", group: "a" },
    "ok | 2 passed | 0 failed (1s)",
    end("a", 1),
  ]);
  const [a] = report.results({ kind: "out of time" });
  assertEquals([a?.passed, a?.failed], [2, 1]);
});

Deno.test("formatTable() lines up, with the notes of a line below it", () => {
  const result = { passed: 10, failed: 0, skipped: 2, seconds: 100, notes: ["skipped: no nft"] };
  assertEquals(
    formatTable([
      { kernel: "6.1.0-57-amd64", group: "agent", ...result },
      { kernel: "6.1.0-57-amd64", group: "flow cut", ...result, passed: 9, notes: [] },
    ]),
    [
      "kernel          group     passed  failed  skipped  seconds",
      "6.1.0-57-amd64  agent         10       0        2      100",
      "  skipped: no nft",
      "6.1.0-57-amd64  flow cut       9       0        2      100",
      "",
    ].join("\n"),
  );
});
