/** What 100 pod changes a second on other nodes cost the agent of a node whose own pods do not change. */

import { sleep } from "../../lib/base/async.ts";
import { NODE_NAME } from "../support/node/node.ts";
import type { Benchmark, BenchmarkContext } from "./benchmark.ts";
import { addressesOf, appLabel, formatSize, namespaceName, podOf } from "./cluster.ts";
import type { ClusterNode } from "./cluster_node.ts";
import { ProcessStatus } from "./process.ts";
import { Sample } from "./sample.ts";
import type { Cell, Table } from "./table.ts";

const CHANGES_PER_SECOND = 100;
const SECONDS = 10;
/** Of doing nothing. */
const SECONDS_IDLE = 3;

export const podChurn: Benchmark = {
  name: "pod churn elsewhere",
  async run(context: BenchmarkContext): Promise<readonly Table[]> {
    const node = await context.clusterNode();
    const agent = await node.agent();
    const status = new ProcessStatus(agent.pid);
    const rows: Cell[][] = [];
    for (const [name, change] of CHANGES) {
      node.takeApplied();
      const [beforeMs, commits, startMs] = [
        status.processorMs,
        node.kernel.counts.commits,
        performance.now(),
      ];
      const seconds = name === IDLE ? SECONDS_IDLE : SECONDS;
      const total = name === IDLE ? 0 : CHANGES_PER_SECOND * SECONDS;
      for (let index = 0; index < total; index++) {
        const waitMs = startMs + index * 1000 / CHANGES_PER_SECOND - performance.now();
        if (waitMs > 0) await sleep(waitMs);
        change(node, index);
      }
      await sleep(startMs + seconds * 1000 - performance.now());
      const wallMs = performance.now() - startMs;
      const applied = new Sample(node.takeApplied().map((it) => it.durationMs));
      rows.push([
        ...[name, total / (wallMs / 1000), 100 * (status.processorMs - beforeMs) / wallMs],
        ...[node.kernel.counts.commits - commits, applied.median, applied.p99, status.residentMb],
      ]);
    }
    return [{
      title: `Pod changes elsewhere, ${SECONDS} s of each: ${formatSize(node.size)}`,
      what:
        "Changes of pods of other nodes, evenly spaced; CPU of the agent, all its threads, as " +
        "percent of one processor. In the agent: flush, compile, compare, send, of those changes " +
        "that reach the kernel. Budget: 10 %.",
      columns: [
        ...["change", "a second", "CPU %", "commits", "in the agent ms", "p99 ms", "RSS MB"],
      ],
      rows,
    }];
  },
};

type Change = (node: ClusterNode, index: number) => void;

const IDLE = "nothing at all";

const CHANGES: readonly (readonly [string, Change])[] = [
  [IDLE, () => {}],
  ["status of a pod (means nothing to policy)", changeStatus],
  ["label of a pod (out of one set, into another)", changeLabel],
  ["pod comes or goes", createOrDelete],
];

function changeStatus(node: ClusterNode, index: number): void {
  const { store } = node;
  store.patchStatus("pods", remoteKeyOf(node, index), { observedGeneration: index });
}

/** A hundred pods that become one app after the other. */
function changeLabel(node: ClusterNode, index: number): void {
  const app = appLabel(Math.floor(index / 100));
  node.store.patch("pods", remoteKeyOf(node, index % 100), { metadata: { labels: { app } } });
}

function createOrDelete({ store, size }: ClusterNode, index: number): void {
  const number = Math.floor(index / 2);
  const namespace = namespaceName(number % size.namespaces);
  const name = `churn-${number}`;
  if (index % 2 === 1) {
    store.delete("pods", `${namespace}/${name}`);
  } else {
    const addresses = addressesOf(size.pods + 1000 + number);
    store.create("pods", podOf({ namespace, name, node: "other-1", app: number, addresses }));
  }
}

/** Some pod of another node, far from the one before. */
function remoteKeyOf({ objects, size }: ClusterNode, index: number): string {
  for (let at = (index * 101) % size.pods;; at = (at + 1) % size.pods) {
    const { metadata, spec } = objects.pods[at] ?? { metadata: {} };
    if ((spec as { nodeName?: string } | undefined)?.nodeName === NODE_NAME) continue;
    return `${metadata.namespace}/${metadata.name}`;
  }
}
