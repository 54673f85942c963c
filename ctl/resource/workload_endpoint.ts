/** `get workloadendpoints`: the pods that have an address of their own. */

import { DatastoreError } from "../../lib/datastore/error.ts";
import type { Workload } from "../../lib/model/workload.ts";
import { type WorkloadEndpoint, workloadEndpointOf } from "../../lib/model/workload_endpoint.ts";
import type { ClusterReader } from "../cluster/reader.ts";
import { type Item, scopesOfNamespaced, sortBy, type View, withoutEmpty } from "./view.ts";

const PS = ["NODE", "ORCHESTRATOR", "WORKLOAD", "NAME"];
const WIDE = [...PS, "NETWORKS", "NATS", "INTERFACE", "PROFILES"];

export const workloadEndpointView: View = {
  kind: "workloadEndpoint",
  words: ["workloadendpoints", "workloadendpoint", "weps", "wep"],
  namespaced: true,
  onNodes: true,
  columns: {
    ps: PS,
    wide: WIDE,
    all: [...WIDE, "IPV4GATEWAY", "IPV6GATEWAY", "MAC"],
    aliases: { HOSTNAME: "NODE" },
  },
  scopesOf: scopesOfNamespaced,
  list: async (reader, query) => {
    const endpoints = endpointsOf(await reader.pods(query));
    const isOne = query.name !== undefined;
    const neighbours = isOne && query.shows("INTERFACE")
      ? await listNeighbours(reader, endpoints)
      : endpoints;
    const shared = sharedNamesOf(neighbours ?? endpoints);
    const isUnknown = (it: WorkloadEndpoint): boolean =>
      neighbours === undefined || shared.has(placeOf(it));
    return sortBy(endpoints, (it) => `${it.namespace}\0${it.pod}`)
      .map((it) => itemOf(it, isUnknown(it) ? "" : it.interfaceName));
  },
};

function endpointsOf(pods: readonly Workload[]): readonly WorkloadEndpoint[] {
  return pods.map(workloadEndpointOf).filter((it) => it !== undefined);
}

/** The nodes of `endpoints`; `undefined` if this user may not read nodes. */
async function listNeighbours(
  reader: ClusterReader,
  endpoints: readonly WorkloadEndpoint[],
): Promise<readonly WorkloadEndpoint[] | undefined> {
  const nodes = new Set(endpoints.map((it) => it.node));
  try {
    const lists = await Promise.all([...nodes].map((node) => reader.pods({ node })));
    return lists.flatMap(endpointsOf);
  } catch (error) {
    if (error instanceof DatastoreError && error.status === 403) return undefined;
    throw error;
  }
}

/**
 * The interface names that are the first of several pods of one node: one of them at most has it, and
 * only the node knows which.
 */
function sharedNamesOf(endpoints: readonly WorkloadEndpoint[]): ReadonlySet<string> {
  const places = Map.groupBy(endpoints, placeOf);
  return new Set([...places].flatMap(([place, pods]) => pods.length > 1 ? [place] : []));
}

function placeOf({ node, interfaceName }: WorkloadEndpoint): string {
  return `${node}/${interfaceName}`;
}

/** @param interfaceName as far as it can be told from here */
function itemOf(endpoint: WorkloadEndpoint, interfaceName: string): Item {
  const { node, orchestrator, workload, name, labels, profiles } = endpoint;
  const networks = endpoint.networks.map(String);
  return {
    names: [
      name,
      workload,
      `${endpoint.namespace}/${endpoint.pod}`,
      endpoint.pod,
      endpointNameOf(endpoint),
    ],
    labels,
    node,
    cells: {
      NODE: node,
      ORCHESTRATOR: orchestrator,
      WORKLOAD: workload,
      NAME: name,
      NETWORKS: networks.join(","),
      NATS: "",
      INTERFACE: interfaceName,
      PROFILES: profiles.join(","),
      IPV4GATEWAY: "",
      IPV6GATEWAY: "",
      MAC: "",
    },
    resource: {
      apiVersion: "v1",
      kind: "workloadEndpoint",
      metadata: withoutEmpty({ name, node, orchestrator, workload, labels }),
      spec: withoutEmpty({ interfaceName, ipNetworks: networks, profiles }),
    },
  };
}

/** What today's calicoctl calls it: `<node>-k8s-<pod>-eth0`, dashes in the parts doubled. */
function endpointNameOf({ node, orchestrator, pod, name }: WorkloadEndpoint): string {
  return [node, orchestrator, pod, name].map((it) => it.replaceAll("-", "--")).join("-");
}
