/** Where commands read a cluster from: the API server, or a directory of manifests. */

import type { Namespace } from "../../lib/model/namespace.ts";
import type { Node } from "../../lib/model/node.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "../../lib/model/policy.ts";
import type { Workload } from "../../lib/model/workload.ts";
import type { Cluster } from "../../lib/policy/evaluate.ts";
import { CtlError } from "../error.ts";

/** Reads facts; `namespace` undefined = all of them. */
export interface ClusterReader {
  pods(namespace?: string): Promise<readonly Workload[]>;
  policies(namespace?: string): Promise<readonly NetworkPolicy[]>;
  /** @throws {UnreadError} if there are some, in a version that this program does not know */
  clusterPolicies(): Promise<readonly ClusterNetworkPolicy[]>;
  namespaces(): Promise<readonly Namespace[]>;
  nodes(): Promise<readonly Node[]>;
}

/** There is something that this program cannot read; the message says what, and the remedy. */
export class UnreadError extends CtlError {}

/** A cluster, and sentences about what of it could not be read. */
export interface ReadCluster {
  readonly cluster: Cluster;
  readonly unread: readonly string[];
}

/** Everything that decides a verdict, as far as it can be read. */
export async function readCluster(reader: ClusterReader): Promise<ReadCluster> {
  const unread: string[] = [];
  const noneIfUnread = (error: unknown): readonly never[] => {
    if (!(error instanceof UnreadError)) throw error;
    unread.push(error.message);
    return [];
  };
  const [pods, namespaces, policies, clusterPolicies, nodes] = await Promise.all([
    reader.pods(),
    reader.namespaces(),
    reader.policies(),
    reader.clusterPolicies().catch(noneIfUnread),
    reader.nodes(),
  ]);
  return { cluster: { pods, namespaces, policies, clusterPolicies, nodes }, unread };
}
