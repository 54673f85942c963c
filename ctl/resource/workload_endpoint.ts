/** `get workloadendpoints`: the pods that have an address of their own. */

import { type WorkloadEndpoint, workloadEndpointOf } from "../../lib/model/workload_endpoint.ts";
import { type Item, sortBy, type View, withoutEmpty } from "./view.ts";

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
  list: async (reader, namespace) => {
    const endpoints = (await reader.pods(namespace))
      .map(workloadEndpointOf)
      .filter((it) => it !== undefined);
    const shared = sharedNamesOf(endpoints);
    return sortBy(endpoints, (it) => `${it.namespace}\0${it.pod}`)
      .map((it) => itemOf(it, shared.has(placeOf(it)) ? "" : it.interfaceName));
  },
};

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
