/** Thousands of policies that all govern one pod: what the start costs, and whether the agent answers. */

import { runExecutable } from "../support/program/executable.ts";
import { NODE_NAME, TestNode } from "../support/node/node.ts";
import { until } from "../support/until.ts";
import type { Benchmark } from "./benchmark.ts";
import type { Cell, Table } from "./table.ts";

const COUNTS = [300, 1_000, 3_000, 10_000];
const HEALTH_PORT = "19099";

export const policyCount: Benchmark = {
  name: "policies of one pod",
  async run(): Promise<readonly Table[]> {
    const rows: Cell[][] = [];
    for (const count of COUNTS) rows.push(await measure(count));
    return [{
      title: "Start with many policies that govern one pod",
      what: "Each policy allows one port from pods with a label of their own: two sets a policy. " +
        "Until the agent says that it is ready, and the longest time in which /healthz gave no " +
        "answer (asked every 20 ms by a thread of its own): cold, with an empty kernel; warm, " +
        "with everything in it. Then one policy more: in the agent, as its log says. The API " +
        "server runs on the same machine. Budget: ready in a minute, an answer in 1 s.",
      columns: [
        ...["policies", "cold: ready ms", "no answer ms", "warm: ready ms", "no answer ms"],
        "one more ms",
      ],
      rows,
    }];
  },
};

async function measure(count: number): Promise<Cell[]> {
  await using node = await TestNode.start({ agent: false });
  node.api.store.create("pods", {
    metadata: { namespace: "default", name: "web", labels: { app: "web" } },
    spec: { nodeName: NODE_NAME, containers: [] },
    status: { phase: "Running", podIPs: [{ ip: "10.244.9.9" }] },
  });
  for (let index = 0; index < count; index++) createPolicy(node, index);
  using health = new HealthPoll(`http://127.0.0.1:${HEALTH_PORT}/healthz`);
  const start = async (): Promise<readonly [number, number]> => {
    await health.take();
    const startMs = performance.now();
    await node.startAgent({ CALYX_HEALTH_PORT: HEALTH_PORT });
    return [performance.now() - startMs, await health.take()];
  };
  const cold = await start();
  await node.agent[Symbol.asyncDispose]();
  const warm = await start();
  const logged = node.agent.log.length;
  createPolicy(node, count);
  const line = /"ruleset applied".*"durationMs":([\d.]+)/;
  await until("the policy is applied", () => line.test(node.agent.log.slice(logged)));
  const [, oneMoreMs] = line.exec(node.agent.log.slice(logged)) ?? [];
  await node.agent[Symbol.asyncDispose]();
  await runExecutable("calyx-agent", { args: ["cleanup"] });
  return [String(count), ...cold, ...warm, Number(oneMoreMs)];
}

function createPolicy(node: TestNode, index: number): void {
  node.api.store.create("networkpolicies", {
    metadata: { namespace: "default", name: `policy-${index}` },
    spec: {
      podSelector: {},
      ingress: [{
        from: [{ podSelector: { matchLabels: { app: `client-${index}` } } }],
        ports: [{ port: 1_000 + index }],
      }],
    },
  });
}

/** The thread that asks for the health. */
class HealthPoll implements Disposable {
  readonly #worker = new Worker(new URL("./health_poll_worker.ts", import.meta.url), {
    type: "module",
  });

  constructor(url: string) {
    this.#worker.postMessage(url);
  }

  /** The longest time without an answer since the last call, in milliseconds. */
  take(): Promise<number> {
    return new Promise((resolve) => {
      this.#worker.onmessage = ({ data }) => resolve(Number(data));
      this.#worker.postMessage("take");
    });
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
