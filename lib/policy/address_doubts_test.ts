import { assertEquals } from "@std/assert";
import { Address } from "../ip/address.ts";
import { Prefix } from "../ip/prefix.ts";
import type { Node } from "../model/node.ts";
import type { NetworkPolicy } from "../model/policy.ts";
import type { Workload } from "../model/workload.ts";
import { addressDoubts } from "./address_doubts.ts";
import { evaluate } from "./evaluate.ts";
import { PolicyGraph } from "./graph.ts";

function pod(
  name: string,
  nodeName: string,
  addresses: readonly string[],
  change: Partial<Workload> = {},
): Workload {
  return {
    namespace: "shop",
    name,
    uid: name,
    nodeName,
    labels: { app: name },
    serviceAccount: "default",
    addresses: addresses.map(Address.parse),
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
    ...change,
  };
}

function node(name: string, addresses: readonly string[], podCidrs: readonly string[] = []): Node {
  return {
    name,
    labels: {},
    podCidrs: podCidrs.map(Prefix.parse),
    addresses: addresses.map(Address.parse),
  };
}

const N1 = node("n1", ["192.0.2.1", "2001:db8::1"], ["10.244.1.0/24"]);
const N2 = node("n2", ["192.0.2.2"], ["10.244.2.0/24"]);
const NAMESPACE = { name: "shop", labels: {}, isIsolated: false, denyAction: undefined };

/** Lets `liar` reach `web`. */
const POLICY: NetworkPolicy = {
  namespace: "shop",
  name: "web",
  podSelector: [{ key: "app", operator: "In", values: ["web"] }],
  ingress: [{
    peers: [{
      kind: "pods",
      podSelector: [{ key: "app", operator: "In", values: ["liar"] }],
      namespaceSelector: undefined,
    }],
    ports: undefined,
  }],
  egress: undefined,
  resourceVersion: "1",
};

/** A graph of node n1 with `web` on it. */
function graphWithWeb(): PolicyGraph {
  const graph = new PolicyGraph({ nodeName: "n1" });
  graph.update("namespace", "shop", NAMESPACE);
  graph.update("workload", "shop/web", pod("web", "n1", ["10.244.1.7"]));
  graph.update("policy", "shop/web", POLICY);
  return graph;
}

/** Who is let in to `web`. */
function membersIn(graph: PolicyGraph): readonly string[] {
  return [...graph.flush().sets.values()].flatMap((it) =>
    it.kind === "addresses" ? [...it.members.members()].map(String) : []
  ).sort();
}

Deno.test("an address of a node in a pod's status is not the pod's, whichever comes first", () => {
  const liar = pod("liar", "n2", ["192.0.2.1", "10.244.2.9"]);
  for (const nodesFirst of [true, false]) {
    const graph = graphWithWeb();
    const nodes = (): void => {
      for (const it of [N1, N2]) graph.update("node", it.name, it);
    };
    if (nodesFirst) nodes();
    graph.update("workload", "shop/liar", liar);
    if (!nodesFirst) {
      assertEquals(membersIn(graph), ["10.244.2.9", "192.0.2.1"]);
      nodes();
    }
    assertEquals(membersIn(graph), ["10.244.2.9"]);
    assertEquals(graph.index.podAt("192.0.2.1"), undefined);
    // And again when the node has it no more.
    graph.update("node", "n1", node("n1", ["192.0.2.3"], ["10.244.1.0/24"]));
    assertEquals(membersIn(graph), ["10.244.2.9", "192.0.2.1"]);
  }
});

Deno.test("a node may give an address of its own pod CIDRs, whatever another node says it has", () => {
  const graph = graphWithWeb();
  graph.update("node", "n2", N2);
  graph.update("workload", "shop/liar", pod("liar", "n2", ["10.244.2.9"]));
  graph.update("node", "thief", node("thief", ["10.244.2.9", "10.244.1.7"]));
  assertEquals(membersIn(graph), ["10.244.2.9"]);
  graph.update("node", "n2", node("n2", ["192.0.2.2"]));
  assertEquals(membersIn(graph), [], "without pod CIDRs nothing says that it is the pod's");
  graph.update("node", "n2", N2);
  assertEquals(membersIn(graph), ["10.244.2.9"]);
});

Deno.test("a pod of this node that claims the node's address closes nothing of the node's", () => {
  const graph = graphWithWeb();
  graph.update("node", "n1", N1);
  graph.update("workload", "shop/liar", pod("liar", "n1", ["192.0.2.1"]));
  assertEquals([...graph.flush().endpoints.values()].map((it) => it.workload), ["shop/web"]);
});

Deno.test("what the plugin attached is the pod's, also where a node says it too", () => {
  const graph = graphWithWeb();
  graph.update("node", "thief", node("thief", ["10.244.1.7"]));
  assertEquals(graph.addressDoubts().ofNodes, new Map([["shop/web", ["10.244.1.7"]]]));
  graph.update("attachment", "c/eth0", {
    containerId: "c",
    ifname: "eth0",
    namespace: "shop",
    pod: "web",
    uid: "web",
    interfaceName: "cali1",
    addresses: [Address.parse("10.244.1.7")],
  });
  const [endpoint] = graph.flush().endpoints.values();
  assertEquals([endpoint?.interfaceName, endpoint?.addresses.map(String)], ["cali1", [
    "10.244.1.7",
  ]]);
  assertEquals(graph.addressDoubts().ofNodes, new Map());
});

Deno.test("evaluate() says the same: traffic of the node is the node's", () => {
  const web = pod("web", "n1", ["10.244.1.7"]);
  const cluster = {
    pods: [web, pod("liar", "n2", ["192.0.2.1"])],
    namespaces: [NAMESPACE],
    policies: [POLICY],
    nodes: [N1, N2],
  };
  const graph = graphWithWeb();
  for (const it of [N1, N2]) graph.update("node", it.name, it);
  const source = { address: Address.parse("192.0.2.1"), workload: undefined };
  const destination = { address: Address.parse("10.244.1.7"), workload: web };
  const { ingress } = evaluate(cluster, { source, destination, protocol: "TCP", port: 80 });
  assertEquals(ingress.reason, { kind: "ownNode", node: "n1" });
});

const DOUBTS: readonly (readonly [string, readonly Node[], Workload, string, string])[] = [
  ["in its node's pod CIDR", [N1, N2], pod("a", "n1", ["10.244.1.9"]), "", ""],
  ["in another's", [N1, N2], pod("a", "n1", ["10.244.2.9"]), "", ""],
  ["in none", [N1, N2], pod("a", "n1", ["203.0.113.7"]), "", "203.0.113.7"],
  ["of a family without pod CIDRs", [N1, N2], pod("a", "n1", ["fd00::7"]), "", ""],
  ["where no node has pod CIDRs", [node("n1", [])], pod("a", "n1", ["203.0.113.7"]), "", ""],
  ["where there is no node", [], pod("a", "n1", ["203.0.113.7"]), "", ""],
  ["of a node", [N1, N2], pod("a", "n1", ["192.0.2.2"]), "192.0.2.2", ""],
  [
    "of its own node, in its pod CIDR",
    [node("n1", ["10.244.1.1"], ["10.244.1.0/24"])],
    pod("a", "n1", ["10.244.1.1"]),
    "10.244.1.1",
    "",
  ],
  [
    "of another node, in its own node's pod CIDR",
    [N1, node("thief", ["10.244.1.9"])],
    pod("a", "n1", ["10.244.1.9"]),
    "",
    "",
  ],
  ["of its own node", [N1], pod("a", "n1", ["2001:db8::1"]), "2001:db8::1", ""],
  [
    "of its node, on the host's network",
    [N1],
    pod("a", "n1", ["192.0.2.1"], { hostNetwork: true }),
    "",
    "",
  ],
  ["of a node, finished", [N1], pod("a", "n1", ["192.0.2.1"], { finished: true }), "", ""],
  [
    "several",
    [N1],
    pod("a", "n9", ["192.0.2.1", "10.244.1.1", "198.51.100.1", "2001:db8::1"]),
    "192.0.2.1 2001:db8::1",
    "198.51.100.1",
  ],
];

for (const [what, nodes, workload, ofNodes, outside] of DOUBTS) {
  Deno.test(`addressDoubts() of a pod with an address ${what}`, () => {
    const doubts = addressDoubts([workload], nodes);
    const texts = [doubts.ofNodes, doubts.outside].map((it) => (it.get("shop/a") ?? []).join(" "));
    assertEquals(texts, [ofNodes, outside]);
  });
}
