/** The benchmarks' inside: runs in namespaces of its own, where this network namespace is the node. */

import { messageOf } from "../../lib/base/error.ts";
import { cString } from "../../lib/kernel/descriptor.ts";
import { libc } from "../../lib/kernel/symbols.ts";
import { enterIsolation } from "../support/isolation/isolate.ts";
import { agentStart } from "./agent_start.ts";
import type { Benchmark, BenchmarkContext, BenchmarkOptions } from "./benchmark.ts";
import { changeLoss } from "./change_loss.ts";
import { ClusterNode } from "./cluster_node.ts";
import { flowCut } from "./flow_cut.ts";
import { nftReload } from "./nft_reload.ts";
import { packetPath } from "./packet_path.ts";
import { pluginCall } from "./plugin_call.ts";
import { podChurn } from "./pod_churn.ts";
import { policyCount } from "./policy_count.ts";
import { policyEvent } from "./policy_event.ts";
import { programStart } from "./program_start.ts";
import { pureStep } from "./pure_step.ts";
import { formatTable, type Table } from "./table.ts";
import { validation } from "./validation.ts";

/** In this order: what needs the big cluster comes together, and its node goes before the rest. */
const BENCHMARKS: readonly Benchmark[] = [
  programStart,
  pluginCall,
  agentStart,
  policyEvent,
  podChurn,
  nftReload,
  changeLoss,
  validation,
  policyCount,
  flowCut,
  packetPath,
  pureStep,
];
const WITH_CLUSTER: readonly Benchmark[] = [agentStart, policyEvent, podChurn, nftReload];

enterIsolation();
mountProc();
Deno.exit(await main(JSON.parse(Deno.args[0] ?? "{}")));

async function main(options: BenchmarkOptions): Promise<number> {
  const tables: Table[] = [];
  const skipped: string[] = [];
  const failed: string[] = [];
  let cluster: Promise<ClusterNode> | undefined;
  const say = (line: string): void => options.isJson ? undefined : write(line);
  const context: BenchmarkContext = {
    options,
    runs: (usual) => options.runs ?? usual,
    skip: (what, why) => {
      const line = `${what}: ${why.trim().split("\n")[0]}`;
      skipped.push(line);
      say(`skipped: ${line}\n`);
    },
    clusterNode: () => cluster ??= ClusterNode.start(options.cluster),
  };
  const machine = describeMachine();
  say(`${machine}\n`);
  const selected = BENCHMARKS.filter(({ name }) => isSelected(name, options.filter));
  if (selected.length === 0) {
    const names = BENCHMARKS.map(({ name }) => name).join(", ");
    fail(`no benchmark has one of the words ${options.filter.join(", ")} in its name: ${names}`);
    return 1;
  }
  for (const benchmark of selected) {
    if (!WITH_CLUSTER.includes(benchmark)) await closeCluster();
    try {
      for (const table of await benchmark.run(context)) {
        tables.push(table);
        say(formatTable(table));
      }
    } catch (error) {
      const message = messageOf(error);
      failed.push(`${benchmark.name}: ${message}`);
      fail(`${benchmark.name}: ${message}`);
    }
  }
  await closeCluster();
  if (options.isJson) write(JSON.stringify({ machine, tables, skipped, failed }, null, 2));
  return failed.length === 0 ? 0 : 1;

  async function closeCluster(): Promise<void> {
    const node = await cluster?.catch(() => undefined);
    cluster = undefined;
    await node?.[Symbol.asyncDispose]();
  }
}

/**
 * A /proc of our own process namespace, where it can be had: some plugins look themselves up in it. In
 * a container that hides parts of /proc it cannot, and then they fail and say so.
 */
function mountProc(): void {
  const proc = cString("proc");
  libc().mount(proc, cString("/proc"), proc, 0n, null);
}

function isSelected(name: string, filter: readonly string[]): boolean {
  return filter.length === 0 || filter.some((word) => name.includes(word));
}

function describeMachine(): string {
  const [load = 0] = Deno.loadavg();
  return `Linux ${Deno.osRelease()}, ${Deno.build.arch}, ${navigator.hardwareConcurrency} ` +
    `processors, load ${load.toFixed(1)}, Deno ${Deno.version.deno}`;
}

function fail(message: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`bench: ${message}\n`));
}

function write(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
}
