import { assert, assertEquals } from "@std/assert";
import { FAMILIES } from "../../lib/ip/address.ts";
import { requireIsolation } from "../support/isolation.ts";
import { evaluateCase } from "./evaluator_run.ts";
import { CASE_FILES, readCases } from "./load.ts";
import { formatOutcome, type Outcome, Tally } from "./outcome.ts";
import { runPackets } from "./packet_run.ts";
import { randomCases } from "./random_case.ts";
import { announceSeed } from "./seed.ts";

/** Counts of both families, so that no cell gets lost; a packet to oneself never leaves the pod. */
const COUNTS: Readonly<Record<string, { cells: number; self: number }>> = {
  "k8s-e2e.json": { cells: 1012, self: 0 },
  "cyclonus.json": { cells: 119_292, self: 13_212 },
  "cnp.json": { cells: 268, self: 0 },
};

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function assertRight(run: string, tally: Tally, right: number, skipped: number): void {
  const wrong = tally.wrong.slice(0, 20).map((it) => formatOutcome(run, it)).join("\n");
  assertEquals(tally.wrong.length, 0, `${tally.wrong.length} cells are wrong:\n${wrong}`);
  assertEquals({ right: tally.right, skipped: tally.skippedCount }, { right, skipped });
}

for (const path of CASE_FILES) {
  Deno.test(`evaluate() gives every verdict of ${nameOf(path)}`, async () => {
    const tally = new Tally();
    for (const it of await readCases(path)) {
      for (const outcome of evaluateCase(it, FAMILIES)) tally.add(outcome);
    }
    assertRight("evaluator", tally, COUNTS[nameOf(path)]?.cells ?? 0, 0);
  });
}

Deno.test("packets: one agent enforces every case of every suite, one after the other", async () => {
  requireIsolation();
  const cases = (await Promise.all(CASE_FILES.map(readCases))).flat();
  const tally = new Tally();
  await runPackets(cases, FAMILIES, (outcome) => tally.add(outcome));
  const sum = (count: (it: { cells: number; self: number }) => number): number =>
    Object.values(COUNTS).reduce((total, it) => total + count(it), 0);
  assertRight("packets", tally, sum((it) => it.cells - it.self), sum((it) => it.self));
});

const RANDOM_CASES = 8;
const VERDICTS_MIN = 2_000;

Deno.test("packets: random clusters, as the naive evaluator says", async () => {
  requireIsolation();
  const seed = announceSeed("packets against the naive evaluator");
  const tally = new Tally();
  const blocked: Outcome[] = [];
  await runPackets(randomCases(seed, RANDOM_CASES), FAMILIES, (outcome) => {
    tally.add(outcome);
    if (!outcome.cell.expected.combined) blocked.push(outcome);
  });
  assertRight("packets", tally, tally.right, 0);
  assert(tally.right >= VERDICTS_MIN, `only ${tally.right} verdicts`);
  assert(blocked.length > 0 && blocked.length < tally.right, "all verdicts are alike");
});
