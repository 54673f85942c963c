/** The node in the big cluster: a small API server full of objects, the compiled agent, and a listener for commits to nf_tables. */

import type { PartialObject } from "../support/kubernetes/api_server/object.ts";
import type { Store } from "../support/kubernetes/api_server/store.ts";
import { runExecutable, type RunningAgent } from "../support/program/executable.ts";
import { NODE_NAME, TestNode } from "../support/node/node.ts";
import { type ClusterObjects, type ClusterSize, makeCluster } from "./cluster.ts";
import { KernelWatch } from "./kernel_watch.ts";

/** One line of the agent's log that says that it changed the kernel. */
export interface AppliedLine {
  /** Flush, compile, compare, and the kernel's own work. */
  readonly durationMs: number;
  readonly requests: number;
}

/** One node of the big cluster, with its agent running until it is disposed of. */
export class ClusterNode implements AsyncDisposable {
  readonly size: ClusterSize;
  readonly objects: ClusterObjects;
  readonly kernel: KernelWatch;
  readonly #node: TestNode;
  #agent: RunningAgent | undefined;
  #loggedLength = 0;

  private constructor(size: ClusterSize, objects: ClusterObjects, node: TestNode) {
    this.size = size;
    this.objects = objects;
    this.#node = node;
    this.kernel = new KernelWatch();
  }

  /** Fills the API server; the agent is started by {@link ClusterNode.startAgent}. */
  static async start(size: ClusterSize): Promise<ClusterNode> {
    const node = await TestNode.start({ agent: false });
    const objects = makeCluster(size, NODE_NAME);
    for (const [kind, list] of Object.entries(objects) as [string, PartialObject[]][]) {
      for (const object of list) node.api.store.create(kind, object);
    }
    return new ClusterNode(size, objects, node);
  }

  /** The API server's state: what is written here, watches hear of. */
  get store(): Store {
    return this.#node.api.store;
  }

  /** The running agent; started now if need be. */
  async agent(): Promise<RunningAgent> {
    return this.#agent ??= await this.startAgent();
  }

  /** Starts the agent and waits until it says that policy is in force. */
  async startAgent(): Promise<RunningAgent> {
    this.#loggedLength = 0;
    this.#agent = await this.#node.startAgent();
    return this.#agent;
  }

  /** Stops the agent; with `cleanup` the kernel forgets everything of it. */
  async stopAgent({ cleanup }: { readonly cleanup: boolean }): Promise<void> {
    await this.#agent?.[Symbol.asyncDispose]();
    this.#agent = undefined;
    if (cleanup) await runExecutable("calyx-agent", { args: ["cleanup"] });
  }

  /** What the agent has logged of its applies since the last call. */
  takeApplied(): readonly AppliedLine[] {
    const log = this.#agent?.log ?? "";
    const end = log.lastIndexOf("\n") + 1;
    const lines = log.slice(this.#loggedLength, end).split("\n");
    this.#loggedLength = end;
    return lines.filter((line) => line.includes('"ruleset applied"')).map((it) => JSON.parse(it));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAgent({ cleanup: true });
    await this.kernel[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
  }
}
