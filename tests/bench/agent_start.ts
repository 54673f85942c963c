/** The agent's start in the big cluster: until its first whole program is in the kernel, and its memory. */

import { CHAIN_FORWARD_EGRESS } from "../../lib/dataplane/compile/names.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { formatSize } from "./cluster.ts";
import { ProcessStatus } from "./process.ts";
import { Sample } from "./sample.ts";
import type { Cell, Table } from "./table.ts";

const RUNS = 3;
const START_MS_MAX = 60_000;

export const agentStart: Benchmark = {
  name: "agent's first program",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const node = await context.clusterNode();
    const runs = context.runs(RUNS);
    const samples = { cold: newSamples(), warm: newSamples() };
    for (let round = 0; round < runs; round++) {
      for (const kind of ["cold", "warm"] as const) {
        await node.stopAgent({ cleanup: kind === "cold" });
        const startMs = performance.now();
        const programmed = kind === "warm" ? undefined : node.kernel.commit(
          (it) => it.kind === "chain" && it.chain.name === CHAIN_FORWARD_EGRESS,
          START_MS_MAX,
        );
        const agent = await node.startAgent();
        samples[kind].ready.add(performance.now() - startMs);
        const programmedMs = await programmed;
        if (programmedMs !== undefined) samples[kind].programmed.add(programmedMs - startMs);
        const status = new ProcessStatus(agent.pid);
        samples[kind].processor.add(status.processorMs);
        samples[kind].resident.add(status.residentMb);
        samples[kind].peak.add(status.residentMbMax);
      }
    }
    const row = (name: string, it: ReturnType<typeof newSamples>): Cell[] => [
      ...[name, it.programmed.median, it.programmed.max, it.ready.median, it.processor.median],
      ...[it.resident.median, it.peak.median],
    ];
    return [{
      title: `Agent start: ${formatSize(node.size)}; ${runs} rounds`,
      what: "From spawn to the kernel's notification of the first program, and until the agent " +
        "says that it is ready (asked every 10 ms). The API server is in the benchmark's own " +
        "process, on the same machine. Warm: a restart, the kernel has everything already. " +
        "Budget: 3 s, RSS 200 MB.",
      columns: [
        ...["start", "in the kernel ms", "longest ms", "ready ms", "CPU ms"],
        ...["RSS MB", "peak RSS MB"],
      ],
      rows: [
        row("cold, no table", samples.cold),
        row("warm, table as it should be", samples.warm),
      ],
    }];
  },
};

function newSamples(): Readonly<
  Record<"programmed" | "ready" | "processor" | "resident" | "peak", Sample>
> {
  return {
    programmed: new Sample(),
    ready: new Sample(),
    processor: new Sample(),
    resident: new Sample(),
    peak: new Sample(),
  };
}
