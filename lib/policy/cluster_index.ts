/** The facts of a cluster, found by what the evaluator asks for. */

import type { Namespace } from "../model/namespace.ts";
import type { Node } from "../model/node.ts";
import type { ClusterNetworkPolicy, NetworkPolicy } from "../model/policy.ts";
import type { Workload } from "../model/workload.ts";
import { NodeIndex } from "./node_index.ts";
import { compareClusterPolicies, compareHolders, isPolicySubject } from "./select.ts";

/** The facts of a cluster, all of them. */
export interface Cluster {
  readonly pods: readonly Workload[];
  readonly namespaces: readonly Namespace[];
  readonly policies: readonly NetworkPolicy[];
  readonly clusterPolicies?: readonly ClusterNetworkPolicy[];
  readonly nodes: readonly Node[];
}

/** The look-ups of the evaluator; built from a {@link Cluster}, or kept up to date by the graph. */
export interface ClusterIndex {
  /** The pod that holds an address (canonical text); never one that is finished or on its host's network. */
  podAt(address: string): Workload | undefined;
  namespace(name: string): Namespace | undefined;
  node(name: string): Node | undefined;
  nodes(): Iterable<Node>;
  /** The NetworkPolicies of a namespace. */
  policiesOf(namespace: string): Iterable<NetworkPolicy>;
  /** The ClusterNetworkPolicies of a tier, in order of evaluation. */
  clusterPoliciesOf(tier: "admin" | "baseline"): readonly ClusterNetworkPolicy[];
}

const indexes = new WeakMap<Cluster, ClusterIndex>();

/** Returns the index of `cluster`; it is built at the first call. */
export function indexOf(cluster: Cluster): ClusterIndex {
  let index = indexes.get(cluster);
  if (index === undefined) indexes.set(cluster, index = makeIndex(cluster));
  return index;
}

function makeIndex(cluster: Cluster): ClusterIndex {
  const nodes = new NodeIndex();
  for (const node of cluster.nodes) nodes.set(node.name, node);
  const pods = new Map<string, Workload>();
  for (const pod of cluster.pods) {
    if (!isPolicySubject(pod)) continue;
    for (const address of pod.addresses) {
      if (!nodes.isCredible(address, pod.nodeName)) continue;
      const text = address.toString();
      const other = pods.get(text);
      if (other === undefined || compareHolders(pod, other) < 0) pods.set(text, pod);
    }
  }
  const namespaces = new Map(cluster.namespaces.map((it) => [it.name, it]));
  const policies = Map.groupBy(cluster.policies, (it) => it.namespace);
  const clusterPolicies = [...cluster.clusterPolicies ?? []].sort(compareClusterPolicies);
  const tiers = Map.groupBy(clusterPolicies, (it) => it.tier);
  return {
    podAt: (address) => pods.get(address),
    namespace: (name) => namespaces.get(name),
    node: (name) => nodes.get(name),
    nodes: () => nodes.all(),
    policiesOf: (namespace) => policies.get(namespace) ?? [],
    clusterPoliciesOf: (tier) => tiers.get(tier) ?? [],
  };
}
