/** A small cluster whose policies use every feature once: for goldens and for kernel tests. */

import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import type { Labels, LabelSelector } from "../../../lib/model/labels.ts";
import { PolicyGraph } from "../../../lib/policy/graph.ts";

/** The node of the sample. */
export const SAMPLE_NODE = "node1";

function is(key: string, ...values: string[]): LabelSelector {
  return [{ key, operator: "In", values }];
}

/** Adds (or changes) a pod of namespace `namespace` with one address of each family. */
export function addPod(
  graph: PolicyGraph,
  namespace: string,
  name: string,
  index: number,
  labels: Labels,
  nodeName = SAMPLE_NODE,
): void {
  graph.update("workload", `${namespace}/${name}`, {
    namespace,
    name,
    uid: `${namespace}-${name}`,
    nodeName,
    labels,
    serviceAccount: "default",
    addresses: [Address.parse(`10.244.0.${index}`), Address.parse(`fd00:10:244::${index}`)],
    hostNetwork: false,
    finished: false,
    ports: [{ name: "http", protocol: "TCP", port: 8000 + index }],
    resourceVersion: "1",
  });
}

/** A graph with the sample's facts. */
export function sampleGraph(): PolicyGraph {
  const graph = new PolicyGraph({ nodeName: SAMPLE_NODE });
  graph.update("namespace", "shop", {
    name: "shop",
    labels: { team: "shop" },
    isIsolated: false,
    denyAction: undefined,
  });
  graph.update("namespace", "ops", {
    name: "ops",
    labels: { team: "ops" },
    isIsolated: false,
    denyAction: undefined,
  });
  addPod(graph, "shop", "web", 1, { app: "web" });
  addPod(graph, "shop", "web-2", 2, { app: "web" });
  addPod(graph, "shop", "db", 3, { app: "db" });
  addPod(graph, "shop", "cart", 4, { app: "cart" }, "node2");
  addPod(graph, "ops", "probe", 5, { app: "probe" }, "node2");
  graph.update("policy", "shop/default-deny", {
    namespace: "shop",
    name: "default-deny",
    podSelector: [],
    ingress: [],
    egress: [],
    resourceVersion: "1",
  });
  graph.update("policy", "shop/web", {
    namespace: "shop",
    name: "web",
    podSelector: is("app", "web"),
    ingress: [
      {
        peers: undefined,
        ports: [
          { protocol: "TCP", port: { first: 80, last: 80 } },
          { protocol: "TCP", port: { first: 8080, last: 8090 } },
          { protocol: "SCTP", port: undefined },
        ],
      },
      {
        peers: [{
          kind: "pods",
          podSelector: is("app", "probe"),
          namespaceSelector: is("team", "ops"),
        }],
        ports: [{ protocol: "TCP", port: "http" }],
      },
      {
        peers: [{
          kind: "addresses",
          cidr: Prefix.parse("192.0.2.0/24"),
          except: [Prefix.parse("192.0.2.64/26"), Prefix.parse("192.0.2.96/27")],
        }, { kind: "addresses", cidr: Prefix.parse("2001:db8::/32"), except: [] }],
        ports: undefined,
      },
      {
        peers: [
          { kind: "pods", podSelector: is("app", "cart"), namespaceSelector: undefined },
          { kind: "pods", podSelector: [], namespaceSelector: is("team", "ops") },
          { kind: "addresses", cidr: Prefix.parse("198.51.100.0/25"), except: [] },
          { kind: "addresses", cidr: Prefix.parse("198.51.100.128/25"), except: [] },
          { kind: "addresses", cidr: Prefix.parse("2001:db8:1::/48"), except: [] },
        ],
        ports: [
          { protocol: "TCP", port: { first: 9090, last: 9099 } },
          { protocol: "UDP", port: { first: 9090, last: 9090 } },
          { protocol: "TCP", port: "http" },
          { protocol: "TCP", port: "metrics" },
        ],
      },
    ],
    egress: [
      {
        peers: [{ kind: "pods", podSelector: is("app", "db"), namespaceSelector: undefined }],
        ports: [{ protocol: "TCP", port: { first: 5432, last: 5440 } }],
      },
      { peers: undefined, ports: [{ protocol: "UDP", port: { first: 53, last: 53 } }] },
    ],
    resourceVersion: "1",
  });
  graph.update("policy", "shop/db", {
    namespace: "shop",
    name: "db",
    podSelector: is("app", "db"),
    ingress: [{
      peers: [
        { kind: "pods", podSelector: is("app", "web", "cart"), namespaceSelector: undefined },
        { kind: "pods", podSelector: [], namespaceSelector: is("team", "ops") },
      ],
      ports: [{ protocol: "TCP", port: { first: 5432, last: 5432 } }],
    }],
    egress: undefined,
    resourceVersion: "1",
  });
  return graph;
}
