import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  cluster,
  type Fact,
  factsOf,
  NODE,
  service,
} from "../../tests/support/facts/random_cluster.ts";
import { interpret } from "../../tests/support/facts/interpret.ts";
import { Address } from "../ip/address.ts";
import type { Desired } from "../model/desired.ts";
import { interfaceNameOf } from "../model/interface_name.ts";
import { keyOf, type Workload } from "../model/workload.ts";
import { evaluate, type Flow, resolveEnd } from "./evaluate.ts";
import { PolicyGraph } from "./graph.ts";

function graphOf(facts: readonly Fact[]): PolicyGraph {
  const graph = new PolicyGraph({ nodeName: NODE });
  for (const fact of facts) graph.update(...fact);
  return graph;
}

/** Everything that `Desired` says, in one order. */
function print(desired: Desired): unknown {
  const sets = [...desired.sets.values()].map((it) => [
    it.id,
    it.kind === "ranges"
      ? it.ranges.map(({ first, last }) => `${first}-${last}`)
      : [...it.members.members()].map(String).sort(),
  ]);
  return {
    endpoints: [...desired.endpoints.values()].sort(by((it) => it.interfaceName ?? it.workload)),
    programs: [...desired.programs.values()].sort(by((it) => it.id)),
    policies: [...desired.policies.values()].sort(by((it) => it.id)),
    sets: sets.sort(by((it) => String(it[0]))),
  };
}

function by<T>(key: (it: T) => string): (a: T, b: T) => number {
  return (a, b) => key(a) < key(b) ? -1 : 1;
}

Deno.test("PolicyGraph.flush() says what evaluate() says of every flow", () => {
  fc.assert(
    fc.property(cluster, fc.array(service, { minLength: 3, maxLength: 3 }), (world, services) => {
      const desired = graphOf(factsOf(world)).flush();
      const addresses = new Set(world.pods.flatMap((it) => it.addresses).map(String));
      const ends = [...addresses].map((it) => resolveEnd(world, Address.parse(it)))
        .filter((it) => it.workload !== undefined);
      const nodes = ["192.168.0.1", "fd01::1", "192.168.0.2", "fd01::2"];
      // A pod may be believed to have an address of another node.
      const outside = ["10.0.0.77", "8.8.8.8", "fd00::77", ...nodes]
        .map((it) => resolveEnd(world, Address.parse(it)))
        .filter((it) => it.workload === undefined);
      for (const source of [...ends, ...outside]) {
        for (const destination of [...ends, ...outside]) {
          if (source.address.family !== destination.address.family) continue;
          for (const { protocol, port } of services) {
            const flow: Flow = { source, destination, protocol, port };
            const verdict = evaluate(world, flow);
            if (source.workload?.nodeName === NODE) {
              const said = interpret(desired, source.workload, "egress", flow);
              assertEquals(said, verdict.egress.allowed, describe(flow, "egress"));
            }
            if (destination.workload?.nodeName === NODE) {
              const said = interpret(desired, destination.workload, "ingress", flow);
              assertEquals(said, verdict.ingress.allowed, describe(flow, "ingress"));
            }
          }
        }
      }
    }),
    { numRuns: 150 },
  );
});

function describe({ source, destination, protocol, port }: Flow, direction: string): string {
  return `${source.address} to ${destination.address} ${protocol}/${port} ${direction}`;
}

Deno.test("PolicyGraph.flush() depends on the facts, not on the way they came", () => {
  fc.assert(
    fc.property(cluster, cluster, fc.boolean(), (before, after, flushes) => {
      const graph = graphOf(factsOf(before));
      if (flushes) graph.flush();
      // The other world: what it has not goes, the rest comes in reverse, each fact twice.
      const kept = new Set([...after.pods, ...after.policies].map(keyOf));
      for (const it of before.policies) {
        if (!kept.has(keyOf(it))) graph.update("policy", keyOf(it), undefined);
        if (flushes) graph.flush();
      }
      for (const it of before.clusterPolicies ?? []) {
        graph.update("clusterPolicy", it.name, undefined);
      }
      for (const it of before.pods) {
        if (!kept.has(keyOf(it))) graph.update("workload", keyOf(it), undefined);
        if (flushes) graph.flush();
      }
      for (const fact of factsOf(after).reverse()) {
        graph.update(...fact);
        if (flushes) graph.flush();
        graph.update(...fact);
      }
      assertEquals(print(graph.flush()), print(graphOf(factsOf(after)).flush()));
    }),
    { numRuns: 150 },
  );
});

Deno.test("an address is its newest pod's, in whichever order two pods claim it", () => {
  const pod = (name: string, createdAt: string, changes: Partial<Workload> = {}): Workload => ({
    namespace: "x",
    name,
    uid: name,
    nodeName: "node2",
    labels: { app: name },
    createdAt,
    serviceAccount: "default",
    addresses: [Address.parse("10.0.0.9")],
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
    ...changes,
  });
  const old = pod("old", "2024-01-01T00:00:00Z");
  const next = pod("next", "2024-01-01T00:00:01Z");
  for (const order of [[old, next], [next, old]]) {
    const graph = new PolicyGraph({ nodeName: NODE });
    graph.update("namespace", "x", {
      name: "x",
      labels: {},
      isIsolated: false,
      denyAction: undefined,
    });
    const server = { addresses: [], labels: { app: "server" }, nodeName: NODE };
    graph.update("workload", "x/server", pod("server", "", server));
    for (const app of ["old", "next"]) {
      graph.update("policy", `x/${app}`, {
        namespace: "x",
        name: app,
        podSelector: [{ key: "app", operator: "In", values: ["server"] }],
        ingress: [{
          peers: [{
            kind: "pods",
            podSelector: [{ key: "app", operator: "In", values: [app] }],
            namespaceSelector: undefined,
          }],
          ports: undefined,
        }],
        egress: undefined,
        resourceVersion: "1",
      });
    }
    const holders = (): string[] =>
      [...graph.flush().sets].filter(([, it]) =>
        it.kind === "addresses" && it.members.has(Address.parse("10.0.0.9"))
      ).map(([id]) => id);
    const found = (): unknown => [holders(), graph.index.podAt("10.0.0.9")?.name];
    graph.flush();
    for (const it of order) graph.update("workload", keyOf(it), it);
    assertEquals(found(), [["pods x/[app=next]"], "next"]);
    // Both ways back: the newer one ends, or its sandbox was the old one's after all.
    graph.update("workload", "x/next", { ...next, finished: true });
    assertEquals(found(), [["pods x/[app=old]"], "old"]);
    graph.update("workload", "x/next", next);
    graph.update("workload", "x/next", undefined);
    assertEquals(found(), [["pods x/[app=old]"], "old"]);
  }
});

Deno.test("PolicyGraph keeps the same maps while only pods of other nodes change", () => {
  const graph = new PolicyGraph({ nodeName: NODE });
  const pod = (name: string, node: string, address: string): boolean =>
    graph.update("workload", `x/${name}`, {
      namespace: "x",
      name,
      uid: name,
      nodeName: node,
      labels: { app: name },
      serviceAccount: "default",
      addresses: [Address.parse(address)],
      hostNetwork: false,
      finished: false,
      ports: [],
      resourceVersion: "1",
    });
  graph.update("namespace", "x", {
    name: "x",
    labels: {},
    isIsolated: false,
    denyAction: undefined,
  });
  graph.update("policy", "x/p", {
    namespace: "x",
    name: "p",
    podSelector: [],
    ingress: [{
      peers: [{ kind: "pods", podSelector: [], namespaceSelector: undefined }],
      ports: undefined,
    }],
    egress: undefined,
    resourceVersion: "1",
  });
  pod("web", NODE, "10.0.0.1");
  const before = graph.flush();
  pod("client", "node2", "10.0.0.2");
  const after = graph.flush();
  assertEquals(after === before, true);
  const [set] = after.sets.values();
  assertEquals(set?.kind === "addresses" && [...set.members.members()].map(String).sort(), [
    "10.0.0.1",
    "10.0.0.2",
  ]);
});

Deno.test("PolicyGraph.update() says whether there is anything to flush", () => {
  const graph = new PolicyGraph({ nodeName: NODE });
  const pod = (name: string, changes: Partial<Workload>): boolean =>
    graph.update("workload", `x/${name}`, {
      namespace: "x",
      name,
      uid: name,
      nodeName: "node2",
      labels: { app: name },
      serviceAccount: "default",
      addresses: [Address.parse("10.0.0.2")],
      hostNetwork: false,
      finished: false,
      ports: [],
      resourceVersion: "1",
      ...changes,
    });
  const policy = (namespace: string): boolean =>
    graph.update("policy", `${namespace}/p`, {
      namespace,
      name: "p",
      podSelector: [],
      ingress: [{
        peers: [{
          kind: "pods",
          podSelector: [{ key: "app", operator: "In", values: ["client"] }],
          namespaceSelector: undefined,
        }],
        ports: undefined,
      }],
      egress: undefined,
      resourceVersion: "1",
    });
  for (const name of ["x", "y"]) {
    graph.update("namespace", name, { name, labels: {}, isIsolated: false, denyAction: undefined });
  }
  const local = { nodeName: NODE, addresses: [Address.parse("10.0.0.1")] };
  assertEquals(pod("web", local), true);
  assertEquals(policy("x"), true);
  graph.flush();
  const steps: readonly (readonly [string, () => boolean, boolean])[] = [
    ["a pod of another node that no set selects", () => pod("other", {}), false],
    ["its labels, which no set selects either", () => pod("other", { labels: {} }), false],
    ["one that a set selects", () => pod("client", {}), true],
    ["its status says nothing new", () => pod("client", { resourceVersion: "2" }), false],
    ["it has finished", () => pod("client", { finished: true }), true],
    ["a policy for no pod of this node", () => policy("y"), false],
    ["a pod of this node", () => pod("web", { ...local, labels: {} }), true],
    ["the same again", () => pod("web", { ...local, labels: {} }), false],
    ["one that never was", () => graph.update("workload", "x/never", undefined), false],
    ["a pod of this node goes", () => graph.update("workload", "x/web", undefined), true],
  ];
  for (const [name, step, expected] of steps) {
    assertEquals(step(), expected, name);
    graph.flush();
  }
});

Deno.test("PolicyGraph keeps a pod closed until its namespace is known", () => {
  const graph = new PolicyGraph({ nodeName: NODE });
  graph.update("workload", "x/web", {
    namespace: "x",
    name: "web",
    uid: "u",
    nodeName: NODE,
    labels: {},
    serviceAccount: "default",
    addresses: [Address.parse("10.0.0.1")],
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
  });
  const names = (): string[] => [...graph.flush().endpoints.keys()];
  assertEquals(names(), []);
  const namespace = { name: "x", labels: {}, isIsolated: false, denyAction: undefined };
  graph.update("namespace", "x", namespace);
  assertEquals(names(), [interfaceNameOf("x", "web")]);
  graph.update("namespace", "x", undefined);
  assertEquals(names(), []);
});

Deno.test("PolicyGraph takes a local pod's address from its attachment before its status has it", () => {
  const graph = new PolicyGraph({ nodeName: NODE });
  const facts = {
    namespace: "x",
    name: "web",
    uid: "u",
    nodeName: NODE,
    labels: {},
    serviceAccount: "default",
    addresses: [],
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
  };
  graph.update("namespace", "x", {
    name: "x",
    labels: {},
    isIsolated: false,
    denyAction: undefined,
  });
  graph.update("policy", "x/p", {
    namespace: "x",
    name: "p",
    podSelector: [],
    ingress: [{
      peers: [{ kind: "pods", podSelector: [], namespaceSelector: undefined }],
      ports: undefined,
    }],
    egress: undefined,
    resourceVersion: "1",
  });
  const members = (): string[] => {
    const [set] = graph.flush().sets.values();
    return set?.kind === "addresses" ? [...set.members.members()].map(String) : [];
  };
  const attachment = {
    containerId: "c1",
    ifname: "eth0",
    namespace: "x",
    pod: "web",
    uid: undefined,
    interfaceName: interfaceNameOf("x", "web"),
    addresses: [Address.parse("10.0.0.9")],
  };
  // The pod of this attachment is not known yet: its interface stays closed.
  graph.update("attachment", "c1/eth0", attachment);
  assertEquals([...graph.flush().endpoints.keys()], []);
  graph.update("workload", "x/web", facts);
  assertEquals([...graph.flush().endpoints.keys()], [attachment.interfaceName]);
  assertEquals(members(), ["10.0.0.9"]);
  graph.update("attachment", "c1/eth0", undefined);
  assertEquals(members(), []);
});

Deno.test("PolicyGraph.setOwnNode() comes to what the right name from the start comes to", () => {
  fc.assert(fc.property(cluster, (world) => {
    const facts = factsOf(world);
    const graph = new PolicyGraph({ nodeName: "another" });
    for (const fact of facts) graph.update(...fact);
    graph.setOwnNode(NODE);
    assertEquals(print(graph.flush()), print(graphOf(facts).flush()));
  }));
});
