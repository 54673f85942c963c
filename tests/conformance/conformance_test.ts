import { assert, assertEquals } from "@std/assert";
import { FAMILIES } from "../../lib/ip/address.ts";
import { requireIsolation } from "../support/isolation/isolation.ts";
import { evaluateCase } from "./evaluator_run.ts";
import { CASE_FILES, readCases } from "./load.ts";
import { formatOutcome, type Outcome, Tally } from "./outcome.ts";
import { runPackets } from "./packet_run.ts";
import { randomCases } from "./random_case.ts";
import { announceSeed } from "./seed.ts";

/** What a run counts of a file, over both families, so that no cell gets lost. */
interface Counts {
  readonly right: number;
  readonly skipped: number;
}

/** By file; cyclonus' cells between a pod and itself are not policy's. */
const COUNTS: Readonly<Record<string, { evaluator: Counts; packets: Counts }>> = {
  "k8s-e2e.json": {
    evaluator: { right: 1012, skipped: 0 },
    packets: { right: 1012, skipped: 0 },
  },
  "cyclonus.json": {
    evaluator: { right: 106_080, skipped: 13_212 },
    packets: { right: 106_080, skipped: 13_212 },
  },
  "cnp.json": {
    evaluator: { right: 268, skipped: 0 },
    packets: { right: 268, skipped: 0 },
  },
  "cnp-nodes.json": {
    evaluator: { right: 36, skipped: 0 },
    packets: { right: 36, skipped: 0 },
  },
  "corners-netpol.json": {
    evaluator: { right: 396, skipped: 0 },
    packets: { right: 396, skipped: 0 },
  },
  "corners-cyclonus.json": {
    evaluator: { right: 150, skipped: 92 },
    packets: { right: 150, skipped: 92 },
  },
  "corners-cnp.json": {
    evaluator: { right: 64, skipped: 0 },
    packets: { right: 64, skipped: 0 },
  },
  "corners-own.json": {
    evaluator: { right: 126, skipped: 0 },
    packets: { right: 112, skipped: 14 },
  },
  "corners-refused.json": {
    evaluator: { right: 80, skipped: 0 },
    packets: { right: 80, skipped: 0 },
  },
};
const NONE: Counts = { right: 0, skipped: 0 };

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function assertRight(run: string, tally: Tally, counts: Counts): void {
  const wrong = tally.wrong.slice(0, 20).map((it) => formatOutcome(run, it)).join("\n");
  assertEquals(tally.wrong.length, 0, `${tally.wrong.length} cells are wrong:\n${wrong}`);
  assertEquals({ right: tally.right, skipped: tally.skippedCount }, counts);
}

for (const path of CASE_FILES) {
  Deno.test(`evaluate() gives every verdict of ${nameOf(path)}`, async () => {
    const tally = new Tally();
    for (const it of await readCases(path)) {
      for (const outcome of evaluateCase(it, FAMILIES)) tally.add(outcome);
    }
    assertRight("evaluator", tally, COUNTS[nameOf(path)]?.evaluator ?? NONE);
  });
}

Deno.test("packets: one agent enforces every case of every suite, one after the other", async () => {
  requireIsolation();
  const cases = (await Promise.all(CASE_FILES.map(readCases))).flat();
  const tally = new Tally();
  await runPackets(cases, FAMILIES, (outcome) => tally.add(outcome));
  const sum = (count: keyof Counts): number =>
    Object.values(COUNTS).reduce((total, it) => total + it.packets[count], 0);
  assertRight("packets", tally, { right: sum("right"), skipped: sum("skipped") });
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
  assertRight("packets", tally, { right: tally.right, skipped: 0 });
  assert(tally.right >= VERDICTS_MIN, `only ${tally.right} verdicts`);
  assert(blocked.length > 0 && blocked.length < tally.right, "all verdicts are alike");
});
