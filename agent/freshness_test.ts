import { assertEquals } from "@std/assert";
import type { KindState } from "./facts.ts";
import { ageSeconds, formatDuration, formatStale, staleMs } from "./freshness.ts";

const NOW_MS = 10_000_000;

function stateOf(changes: Partial<KindState>): KindState {
  return {
    state: "watching",
    detail: undefined,
    version: undefined,
    isInSync: true,
    heardAtMs: NOW_MS,
    lists: 1,
    failures: 0,
    objects: 1,
    problems: new Map(),
    ...changes,
  };
}

Deno.test("formatStale() tells of what fails at once, and of what is silent after a while", () => {
  const detail = "Cannot watch pods: it does not answer";
  const cases: readonly (readonly [string, Partial<KindState>, number])[] = [
    ["fresh", {}, 0],
    ["between two bookmarks", { heardAtMs: NOW_MS - 100_000 }, 0],
    ["silent", { heardAtMs: NOW_MS - 151_000 }, 151_000],
    ["failed just now", { state: "failed", heardAtMs: NOW_MS - 1_000, detail }, 1_000],
    ["failed, and listing again", { state: "listing", heardAtMs: NOW_MS - 1_000 }, 0],
    ["absent", { state: "absent", heardAtMs: 1 }, 0],
    ["never known: /readyz says so by itself", { state: "failed", isInSync: false }, 0],
  ];
  for (const [name, changes, expected] of cases) {
    assertEquals(staleMs({ states: { workload: stateOf(changes) } }, NOW_MS), expected, name);
  }
  const failed = stateOf({ state: "failed", heardAtMs: NOW_MS - 900_000, detail });
  assertEquals(formatStale({ states: { workload: failed, node: stateOf({}) } }, NOW_MS), [
    "What is enforced of workload may be out of date: the API server was last heard 15 min ago: " +
    "Cannot watch pods: it does not answer",
  ]);
});

Deno.test("ageSeconds() and formatDuration() count as people do", () => {
  assertEquals(ageSeconds(stateOf({ heardAtMs: 0 }), NOW_MS), undefined);
  assertEquals(ageSeconds(stateOf({ heardAtMs: NOW_MS - 1_600 }), NOW_MS), 2);
  assertEquals([0, 119, 120, 7_199, 7_200].map(formatDuration), [
    "0 s",
    "119 s",
    "2 min",
    "119 min",
    "2 h",
  ]);
});
