/**
 * CNI ADD and DEL, ours beside others, in turn and fifty at once: our agent runs, knows the pods and is
 * asked; ADD answers when the pod's policy is in the kernel. Others enforce nothing.
 */

import { messageOf } from "../../lib/base/error.ts";
import { NODE_NAME, TestNode } from "../support/node/node.ts";
import type { TestContainer } from "../support/plugin/container.ts";
import { missingProgram } from "../support/program/program.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import {
  callPlugin,
  CALYX,
  type CniPlugin,
  findPtp,
  makeContainer,
  measureAddMb,
  peerPlugin,
} from "./cni_plugin.ts";
import { type Program, runProgram } from "./run_program.ts";
import { Sample } from "./sample.ts";
import { type Cell, QUANTILES, quantiles, ratio, type Table } from "./table.ts";

const RUNS = 50;
/** Calls at once. */
const BURST = 50;

export const pluginCall: Benchmark = {
  name: "plugin ADD and DEL",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const plugins = listPlugins(context);
    await using node = await startNode(Math.max(context.runs(RUNS) + 1, BURST));
    return [
      await callInTurn(context, node.namespace, plugins),
      await callAtOnce(node.namespace, plugins),
    ];
  },
};

/** Ours first, then the one to compare with. */
function listPlugins({ options, skip }: BenchmarkContext): readonly CniPlugin[] {
  const ptp = findPtp();
  if (ptp === undefined) {
    skip("ADD and DEL of ptp", missingProgram(["ptp", "host-local"]) ?? "it is missing");
  }
  return [CALYX, ...(ptp ? [ptp] : []), ...(options.peer ? [peerPlugin(options.peer)] : [])];
}

/** A node with the agent, pods to attach, and policies that govern every one of them. */
async function startNode(pods: number): Promise<TestNode> {
  const node = await TestNode.start({ agent: false });
  for (let index = 0; index < pods; index++) {
    node.api.store.create("pods", {
      metadata: { name: podName(index), namespace: node.namespace, labels: { app: "a" } },
      spec: { nodeName: NODE_NAME, containers: [{ name: "main", image: "none" }] },
    });
  }
  await node.createPolicy("deny", { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
  await node.createPolicy("allow", {
    podSelector: { matchLabels: { app: "a" } },
    ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }],
  });
  await node.startAgent();
  return node;
}

function podName(index: number): string {
  return `pod-${index}`;
}

interface Calls {
  readonly floor: Sample;
  readonly ADD: Sample;
  readonly DEL: Sample;
}

/** One plugin after the other, so that the machine's mood strikes all alike. */
async function callInTurn(
  context: BenchmarkContext,
  namespace: string,
  plugins: readonly CniPlugin[],
): Promise<Table> {
  const runs = context.runs(RUNS);
  const calls = plugins.map((): Calls => ({
    floor: new Sample(),
    ADD: new Sample(),
    DEL: new Sample(),
  }));
  for (let round = -1; round < runs; round++) {
    for (const [index, plugin] of plugins.entries()) {
      using container = makeContainer(plugin, namespace, podName(round + 1));
      const floor = await runProgram(floorOf(plugin, context));
      const added = await callPlugin(plugin, "ADD", container);
      const deleted = await callPlugin(plugin, "DEL", container);
      if (round < 0) continue; // this one warms the page cache
      calls[index]?.floor.add(floor.durationMs);
      calls[index]?.ADD.add(added.durationMs);
      calls[index]?.DEL.add(deleted.durationMs);
    }
  }
  const rows: Cell[][] = [];
  const reference = calls[1];
  for (const [index, plugin] of plugins.entries()) {
    using container = makeContainer(plugin, namespace, podName(0));
    const mb = await measureAddMb(plugin, container);
    for (const command of ["ADD", "DEL"] as const) {
      const sample = calls[index]?.[command] ?? new Sample();
      const floorMs = calls[index]?.floor.median ?? NaN;
      rows.push([
        ...[`${plugin.name} ${command}`, ...quantiles(sample)],
        ...[ratio(sample.median, reference?.[command].median), floorMs, sample.median - floorMs],
        command === "ADD" ? mb : undefined,
      ]);
    }
  }
  return {
    title: `CNI ADD and DEL, ${runs} rounds in turn`,
    what: "From spawn to exit. Ours asks the agent twice and waits until the policies of the pod " +
      "are in the kernel; it has two address families, ptp has IPv4 alone. Bare start: the compiled console.log for " +
      "ours, VERSION for the others. Budget: ADD beyond the bare start in 12 ms, RSS 60 MB.",
    columns: [
      ...["call", ...QUANTILES.map((it) => `${it} ms`), `to ${plugins[1]?.name ?? "none"}`],
      ...["bare start ms", "beyond it ms", "RSS MB"],
    ],
    rows,
  };
}

/** What its runtime costs a plugin before it does anything. */
function floorOf(plugin: CniPlugin, { options }: BenchmarkContext): Program {
  if (plugin === CALYX) return { path: options.barePath };
  return { path: plugin.path, env: { CNI_COMMAND: "VERSION" }, stdin: plugin.configuration };
}

/** As when a node comes back and all of its pods start. */
async function callAtOnce(namespace: string, plugins: readonly CniPlugin[]): Promise<Table> {
  const rows: Cell[][] = [];
  for (const plugin of plugins) {
    const containers = Array.from(
      { length: BURST },
      (_, index) => makeContainer(plugin, namespace, podName(index)),
    );
    for (const command of ["ADD", "DEL"] as const) {
      const { totalMs, sample, errors } = await burst(plugin, command, containers);
      const failed = BURST - sample.size;
      rows.push([
        ...[`${plugin.name} ${command}`, totalMs, totalMs / BURST, sample.median, sample.p99],
        failed === 0 ? 0 : `${failed}: ${[...errors][0]}`,
      ]);
    }
    for (const container of containers) container[Symbol.dispose]();
  }
  return {
    title: `${BURST} at once`,
    what: `${BURST} calls started together on ${navigator.hardwareConcurrency} processors; total ` +
      "is until the last one has ended, the quantiles are of single calls in that crowd.",
    columns: ["call", "total ms", "ms a call", "median ms", "p99 ms", "errors"],
    rows,
  };
}

interface Burst {
  readonly totalMs: number;
  /** Of those that succeeded. */
  readonly sample: Sample;
  readonly errors: ReadonlySet<string>;
}

async function burst(
  plugin: CniPlugin,
  command: "ADD" | "DEL",
  containers: readonly TestContainer[],
): Promise<Burst> {
  const sample = new Sample();
  const errors = new Set<string>();
  const startMs = performance.now();
  await Promise.all(containers.map(async (container) => {
    try {
      sample.add((await callPlugin(plugin, command, container)).durationMs);
    } catch (error) {
      errors.add(messageOf(error));
    }
  }));
  return { totalMs: performance.now() - startMs, sample, errors };
}
