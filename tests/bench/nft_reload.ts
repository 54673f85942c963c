/**
 * The alternative to netlink: the same changes made by executing nft(8), as agents do that render text.
 * The same ruleset, in a table of another name.
 */

import { sleep } from "../../lib/base/async.ts";
import { compile } from "../../lib/dataplane/compile/compile.ts";
import { TABLE_NAME } from "../../lib/dataplane/compile/names.ts";
import { render } from "../../lib/dataplane/render.ts";
import { PolicyGraph } from "../../lib/policy/graph.ts";
import { NODE_NAME } from "../support/node/node.ts";
import { findProgram, missingProgram } from "../support/program/program.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { addressesOf, formatSize, namespaceName, podOf } from "./cluster.ts";
import type { ClusterNode } from "./cluster_node.ts";
import { decodeCluster, feed } from "./facts.ts";
import { runProgram } from "./run_program.ts";
import { Sample } from "./sample.ts";
import { type Cell, QUANTILES, quantiles, ratio, type Table } from "./table.ts";

const RUNS = 10;
const TABLE = "bench";
const FILE = "/run/tmp/bench.nft";

export const nftReload: Benchmark = {
  name: "nft instead of netlink",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const nft = findProgram("nft");
    if (nft === undefined) {
      context.skip("nft -f beside netlink", missingProgram(["nft"]) ?? "it is missing");
      return [];
    }
    const node = await context.clusterNode();
    await node.agent();
    const runs = context.runs(RUNS);
    const ours = await measureOurs(node, 5 * runs);
    const text = renderCluster(node);
    const run = async (input: string): Promise<number> => {
      await Deno.writeTextFile(FILE, input);
      const { code, stderr, durationMs } = await runProgram({ path: nft, args: ["-f", FILE] });
      if (code !== 0) throw new Error(`nft: ${stderr}`);
      return durationMs;
    };
    const [whole, element] = [new Sample(), new Sample()];
    const set = /\tset (\S+) \{\n\t\ttype ipv4_addr\n(?!\t\tflags)/.exec(text)?.[1] ?? "";
    await run(text);
    for (let round = 0; round < runs; round++) {
      whole.add(await run(`delete table inet ${TABLE}\n${text}`));
      element.add(await run(`add element inet ${TABLE} ${set} { 198.51.100.${round} }\n`));
    }
    await run(`delete table inet ${TABLE}\n`);
    const rows: Cell[][] = [
      ["calyx-agent, from pod fact to kernel", ...quantiles(ours), ratio(ours.median, ours.median)],
      ["nft -f, one add element", ...quantiles(element), ratio(element.median, ours.median)],
      ["nft -f, the whole ruleset", ...quantiles(whole), ratio(whole.median, ours.median)],
    ];
    return [{
      title: `One pod more, by netlink and by nft: ${formatSize(node.size)}`,
      what:
        "Ours: flush, compile, compare, send, as the agent's log says. nft: one execution, the " +
        `text (${(text.length / 1e6).toFixed(1)} MB for the whole) written to a file before it. ` +
        "What an agent needs to compute the text is not in it.",
      columns: ["change", ...QUANTILES.map((it) => `${it} ms`), "ratio"],
      rows,
    }];
  },
};

async function measureOurs(node: ClusterNode, runs: number): Promise<Sample> {
  node.takeApplied();
  for (let round = 0; round < runs; round++) {
    const namespace = namespaceName(round % node.size.namespaces);
    const addresses = addressesOf(node.size.pods + 2000 + round);
    const name = `nft-${round}`;
    node.store.create("pods", podOf({ namespace, name, node: "other-1", app: 1, addresses }));
    await sleep(12);
    node.store.delete("pods", `${namespace}/${name}`);
    await sleep(12);
  }
  return new Sample(node.takeApplied().map((it) => it.durationMs));
}

function renderCluster({ objects }: ClusterNode): string {
  const graph = new PolicyGraph({ nodeName: NODE_NAME });
  feed(graph, decodeCluster(objects));
  return render(compile(graph.flush()))
    .replace(`table inet ${TABLE_NAME} {`, `table inet ${TABLE} {`);
}
