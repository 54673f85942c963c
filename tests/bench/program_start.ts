/** How long each executable takes to start and end, beside the least that any compiled one takes. */

import { DIST } from "../support/program/executable.ts";
import { findProgram } from "../support/program/program.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { measurePeakMb, type Program, runProgram } from "./run_program.ts";
import { Sample } from "./sample.ts";
import { type Cell, QUANTILES, quantiles, ratio, type Table } from "./table.ts";

const RUNS = 20;
const VERSION = { CNI_COMMAND: "VERSION" };
const STDIN = '{"cniVersion":"1.0.0"}';

export const programStart: Benchmark = {
  name: "start of the executables",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const programs = listPrograms(context);
    const samples = new Map([...programs.keys()].map((name) => [name, new Sample()]));
    const runs = context.runs(RUNS);
    for (let round = -1; round < runs; round++) {
      for (const [name, program] of programs) {
        const { code, stderr, durationMs } = await runProgram(program);
        if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}`);
        if (round >= 0) samples.get(name)?.add(durationMs); // the first one warms the page cache
      }
    }
    const bareMs = samples.get(BARE)?.median ?? NaN;
    const rows: Cell[][] = [];
    for (const [name, program] of programs) {
      const sample = samples.get(name) ?? new Sample();
      const mb = name === TRUE ? undefined : await measurePeakMb(program);
      rows.push([
        ...[name, ...quantiles(sample), ratio(sample.median, bareMs)],
        ...[sample.median - bareMs, mb],
      ]);
    }
    return [{
      title: `Start of the executables, ${runs} rounds in turn`,
      what: "From spawn to exit, as the caller waits for it; the row true(1) is what the waiting " +
        "itself costs. Memory: the most that is resident until the answer is written.",
      columns: [
        "program",
        ...QUANTILES.map((it) => `${it} ms`),
        "ratio",
        "beyond bare ms",
        "RSS MB",
      ],
      rows,
    }];
  },
};

const BARE = "bare console.log, compiled";
const TRUE = "true(1)";

function listPrograms({ options, skip }: BenchmarkContext): ReadonlyMap<string, Program> {
  const programs = new Map<string, Program>([
    [TRUE, { path: "true" }],
    [BARE, { path: options.barePath }],
    ["calyx, VERSION", { path: `${DIST}/calyx`, env: VERSION, stdin: STDIN }],
    ["calyx-agent --version", { path: `${DIST}/calyx-agent`, args: ["--version"] }],
    ["calyxctl --version", { path: `${DIST}/calyxctl`, args: ["--version"] }],
  ]);
  const ptp = findProgram("ptp");
  if (ptp === undefined) skip("start of ptp", "Debian's containernetworking-plugins is missing");
  else programs.set("ptp, VERSION", { path: ptp, env: VERSION, stdin: STDIN });
  if (options.peer !== undefined) {
    const { path, configuration } = options.peer;
    programs.set(`${path}, VERSION`, { path, env: VERSION, stdin: configuration });
  }
  return programs;
}
