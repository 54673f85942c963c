/** Where commands read a cluster from: the API server, or a directory of manifests. */

import type { Namespace } from "../../lib/model/namespace.ts";
import type { Node } from "../../lib/model/node.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "../../lib/model/policy.ts";
import type { Workload } from "../../lib/model/workload.ts";
import type { Cluster } from "../../lib/policy/evaluate.ts";

/** Reads facts; `namespace` undefined = all of them. */
export interface ClusterReader {
  pods(namespace?: string): Promise<readonly Workload[]>;
  policies(namespace?: string): Promise<readonly NetworkPolicy[]>;
  clusterPolicies(): Promise<readonly ClusterNetworkPolicy[]>;
  namespaces(): Promise<readonly Namespace[]>;
  nodes(): Promise<readonly Node[]>;
}

/** Everything that decides a verdict. */
export async function readCluster(reader: ClusterReader): Promise<Cluster> {
  const [pods, namespaces, policies, clusterPolicies, nodes] = await Promise.all([
    reader.pods(),
    reader.namespaces(),
    reader.policies(),
    reader.clusterPolicies(),
    reader.nodes(),
  ]);
  return { pods, namespaces, policies, clusterPolicies, nodes };
}
