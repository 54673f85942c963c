/** Objects of the API → the facts that the evaluator takes, by the agent's own decoders. */

import { decodeClusterNetworkPolicy } from "../../lib/datastore/decode/cluster_network_policy.ts";
import { decodeNamespace } from "../../lib/datastore/decode/namespace.ts";
import { decodeNetworkPolicy } from "../../lib/datastore/decode/network_policy.ts";
import { decodeNode } from "../../lib/datastore/decode/node.ts";
import { decodePod } from "../../lib/datastore/decode/pod.ts";
import type { Decoded } from "../../lib/datastore/kind.ts";
import type { Cluster } from "../../lib/policy/evaluate.ts";

/** Objects of a cluster, by kind. */
export interface ClusterObjects {
  readonly namespaces: Iterable<unknown>;
  readonly nodes: Iterable<unknown>;
  readonly pods: Iterable<unknown>;
  readonly policies: Iterable<unknown>;
  readonly clusterPolicies: Iterable<unknown>;
}

/** The facts, as the agent would have them, and what is not understood in the objects. */
export interface DecodedCluster {
  readonly cluster: Cluster;
  readonly problems: readonly string[];
}

/** Decodes all of them. */
export function decodeCluster(objects: ClusterObjects): DecodedCluster {
  const problems: string[] = [];
  const decodeEach = <T>(
    values: Iterable<unknown>,
    decode: (object: unknown) => Decoded<T>,
  ): readonly T[] =>
    [...values].flatMap((object) => {
      const decoded = decode(object);
      problems.push(...decoded.problems);
      return decoded.value ?? [];
    });
  const cluster = {
    namespaces: decodeEach(objects.namespaces, decodeNamespace),
    nodes: decodeEach(objects.nodes, decodeNode),
    pods: decodeEach(objects.pods, decodePod),
    policies: decodeEach(objects.policies, decodeNetworkPolicy),
    clusterPolicies: decodeEach(objects.clusterPolicies, decodeClusterNetworkPolicy),
  };
  return { cluster, problems };
}
