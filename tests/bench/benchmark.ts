/** What a benchmark is, and what it is given. Each is one file; none asserts a time. */

import type { ClusterNode } from "./cluster_node.ts";
import type { ClusterSize } from "./cluster.ts";
import type { Table } from "./table.ts";

/** A benchmark; `--filter` looks for words in its name. */
export interface Benchmark {
  readonly name: string;
  run(context: BenchmarkContext): Promise<readonly Table[]>;
}

/** What the command line says, as data that reaches the inside of the namespaces. */
export interface BenchmarkOptions {
  /** Words; a benchmark runs when its name has one of them. Empty: all run. */
  readonly filter: readonly string[];
  readonly isJson: boolean;
  /** The number of rounds, if the command line gave one. */
  readonly runs: number | undefined;
  readonly cluster: ClusterSize;
  /** A compiled `console.log`. */
  readonly barePath: string;
  readonly peer: Peer | undefined;
}

/** Another CNI plugin to time beside ours. */
export interface Peer {
  readonly path: string;
  /** Its network configuration, as JSON text. */
  readonly configuration: string;
}

/** What a running benchmark has. */
export interface BenchmarkContext {
  readonly options: BenchmarkOptions;
  /** Rounds: what was asked for, or `usual`. */
  runs(usual: number): number;
  /** Says in one line what is left out, and why. */
  skip(what: string, why: string): void;
  /** The node in the big cluster; made when first asked for, shared by all that ask. */
  clusterNode(): Promise<ClusterNode>;
}
