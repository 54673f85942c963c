/** The cluster's objects as facts, and a graph that has taken them: what the agent makes of its watches. */

import { namespaceKind } from "../../lib/datastore/decode/namespace.ts";
import { networkPolicyKind } from "../../lib/datastore/decode/network_policy.ts";
import { podKind } from "../../lib/datastore/decode/pod.ts";
import type { ObjectKind } from "../../lib/datastore/kind.ts";
import type { Namespace } from "../../lib/model/namespace.ts";
import type { NetworkPolicy } from "../../lib/model/policy.ts";
import { keyOf, type Workload } from "../../lib/model/workload.ts";
import type { PolicyGraph } from "../../lib/policy/graph.ts";
import type { PartialObject } from "../support/kubernetes/api_server/object.ts";
import type { ClusterObjects } from "./cluster.ts";

/** Decoded objects. */
export interface ClusterFacts {
  readonly namespaces: readonly Namespace[];
  readonly workloads: readonly Workload[];
  readonly policies: readonly NetworkPolicy[];
}

/** Decodes every object. */
export function decodeCluster(objects: ClusterObjects): ClusterFacts {
  return {
    namespaces: objects.namespaces.map((it) => decode(namespaceKind, it)),
    workloads: objects.pods.map((it) => decode(podKind, it)),
    policies: objects.networkpolicies.map((it) => decode(networkPolicyKind, it)),
  };
}

/** Decodes one object. @throws {RangeError} if it is not understood */
export function decode<T>(kind: ObjectKind<T>, object: PartialObject): T {
  const { value, problems } = kind.decode(object);
  if (value === undefined || problems.length > 0) {
    throw new RangeError(`The benchmark's ${kind.name} are wrong: ${problems.join("; ")}`);
  }
  return value;
}

/** Tells `graph` everything, in the order in which the agent's lists come. */
export function feed(graph: PolicyGraph, { namespaces, workloads, policies }: ClusterFacts): void {
  for (const it of namespaces) graph.update("namespace", it.name, it);
  for (const it of workloads) graph.update("workload", keyOf(it), it);
  for (const it of policies) graph.update("policy", keyOf(it), it);
}
