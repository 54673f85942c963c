/**
 * Random clusters as cases for packets: what must become of each packet, the naive evaluator says.
 * Every pod is there and has both families, since the others cannot be asked.
 */

import fc from "fast-check";
import { FAMILIES } from "../../lib/ip/address.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import type { CasePod, Cell, ConformanceCase, Snapshot } from "./case.ts";
import type { JsonObject } from "./json.ts";
import { judge } from "./naive.ts";
import type { NaiveCluster } from "./naive_objects.ts";
import { addressOf, objectsOf } from "./objects.ts";
import {
  RANDOM_NAMESPACES,
  RANDOM_PORTS,
  randomClusterPolicies,
  randomLabels,
  randomNamespaces,
  randomPolicies,
  randomPorts,
} from "./random_objects.ts";

const PODS = 6;
/** On their hosts' network: one on the node of the others, one on a node of its own. */
const HOST_PODS = [true, false];
const SERVICES = 5;

interface Service {
  readonly protocol: Protocol;
  readonly port: number;
}

function pod(index: number): fc.Arbitrary<CasePod> {
  return fc.record({
    namespace: fc.constantFrom(...RANDOM_NAMESPACES),
    name: fc.constant(`pod${index}`),
    labels: randomLabels,
    address: fc.constant(`10.0.0.${index}`),
    hostNetwork: fc.constant(false),
    ports: randomPorts.map((ports) =>
      [...new Map(ports.map((it) => [it.name, it])).values()]
        .map(({ name, protocol, containerPort: port }) => ({ name, protocol, port }))
    ),
  });
}

function hostPod(isOnPodsNode: boolean, index: number): CasePod {
  return {
    namespace: RANDOM_NAMESPACES[0],
    name: `host${index}`,
    labels: {},
    address: `10.0.0.${index}`,
    hostNetwork: true,
    isOnPodsNode,
    ports: [],
  };
}

const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  namespaces: randomNamespaces.map((all) =>
    new Map(all.map(({ metadata }) => [metadata.name, metadata.labels ?? {}]))
  ),
  pods: fc.tuple(...Array.from({ length: PODS }, (_, index) => pod(index + 1)))
    .map((pods) => [...pods, ...HOST_PODS.map((it, index) => hostPod(it, PODS + index + 1))])
    .map((pods) => new Map(pods.map((it) => [`${it.namespace}/${it.name}`, it]))),
  policies: randomPolicies.map((all) =>
    new Map(all.map((it) => [`${it.metadata.namespace}/${it.metadata.name}`, toJson(it)]))
  ),
  clusterPolicies: randomClusterPolicies.map((all) =>
    new Map(all.map((it) => [it.metadata.name, toJson(it)]))
  ),
});

const services: fc.Arbitrary<Service[]> = fc.uniqueArray(
  fc.record({
    protocol: fc.constantFrom("TCP" as const, "UDP" as const, "SCTP" as const),
    port: fc.constantFrom(...RANDOM_PORTS),
  }),
  { minLength: SERVICES, maxLength: SERVICES, selector: (it) => `${it.protocol}/${it.port}` },
);

/** `count` cases of one step each, all of `seed`. */
export function randomCases(seed: number, count: number): readonly ConformanceCase[] {
  const worlds = fc.sample(fc.tuple(snapshot, services), { seed, numRuns: count });
  return worlds.map(([snapshot, services], index) => ({
    suite: `random ${seed}`,
    name: `cluster ${index + 1}`,
    steps: [{ snapshot, cells: cellsOf(snapshot, services) }],
  }));
}

function cellsOf(snapshot: Snapshot, services: readonly Service[]): readonly Cell[] {
  const objects = objectsOf(snapshot, undefined);
  const cluster = {
    namespaces: [...objects.namespaces.values()],
    nodes: [...objects.nodes.values()],
    pods: [...objects.pods.values()],
    policies: [...objects.networkpolicies.values()],
    clusterPolicies: [...objects.clusternetworkpolicies.values()],
  } as unknown as NaiveCluster;
  const keys = [...snapshot.pods.keys()];
  return keys.flatMap((from) =>
    keys.filter((to) => to !== from).flatMap((to) =>
      FAMILIES.flatMap((family) =>
        services.map((service): Cell => {
          const address = (key: string): string => {
            const pod = snapshot.pods.get(key);
            return pod === undefined ? "" : addressOf(pod, family) ?? "";
          };
          const { ingress, egress } = judge(cluster, {
            source: address(from),
            destination: address(to),
            ...service,
          });
          return { from, to, ...service, family, expected: { combined: ingress && egress } };
        })
      )
    )
  );
}

function toJson(object: object): JsonObject {
  return { ...object };
}
