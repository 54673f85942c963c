/** Who owns an interface and an address: objects and attachments, in every order. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Address } from "../ip/address.ts";
import type { Attachment } from "../model/facts.ts";
import { interfaceNameOf, interfaceNamesOf } from "../model/interface_name.ts";
import { podDigestOf } from "../model/link_alias.ts";
import type { Workload } from "../model/workload.ts";
import { PolicyGraph } from "./graph.ts";

const NODE = "node1";
const WEB = interfaceNameOf("x", "web");
const [OLD_ADDRESS, NEW_ADDRESS] = ["10.0.0.1", "10.0.0.2"];

/** Every pod of namespace x is governed, and may be reached from pods labelled `app: friend`. */
function makeGraph(): PolicyGraph {
  const graph = new PolicyGraph({ nodeName: NODE });
  const namespace = { name: "x", labels: {}, isIsolated: false, denyAction: undefined };
  graph.update("namespace", "x", namespace);
  const friend = [{ key: "app", operator: "In" as const, values: ["friend"] }];
  graph.update("policy", "x/p", {
    namespace: "x",
    name: "p",
    podSelector: [],
    ingress: [{
      peers: [{ kind: "pods", podSelector: friend, namespaceSelector: undefined }],
      ports: undefined,
    }],
    egress: undefined,
    resourceVersion: "1",
  });
  return graph;
}

function pod(uid: string, changes: Partial<Workload> = {}, ...addresses: string[]): Workload {
  return {
    namespace: "x",
    name: "web",
    uid,
    nodeName: NODE,
    labels: { app: "friend" },
    serviceAccount: "default",
    addresses: addresses.map(Address.parse),
    hostNetwork: false,
    finished: false,
    ports: [],
    resourceVersion: "1",
    ...changes,
  };
}

function attached(
  uid: string | undefined,
  address: string,
  changes: Partial<Attachment> = {},
): Attachment {
  return {
    containerId: "c1",
    ifname: "eth0",
    namespace: "x",
    pod: "web",
    uid,
    interfaceName: WEB,
    addresses: [Address.parse(address)],
    ...changes,
  };
}

/** Open interfaces with whose they are and their addresses; and the addresses of the friends. */
function stateOf(graph: PolicyGraph): unknown {
  const desired = graph.flush();
  const open = [...desired.endpoints.values()]
    .filter((it) => it.interfaceName !== undefined)
    .map((it) => `${it.interfaceName} ${it.workload} ${it.uid} ${it.addresses.join()}`);
  const members = [...desired.sets.values()]
    .flatMap((it) => it.kind === "addresses" ? [...it.members.members()].map(String) : []);
  return { open: open.sort(), friends: members.sort() };
}

Deno.test("PolicyGraph opens no interface before it is attached or the pod's status has an address", () => {
  const graph = makeGraph();
  graph.update("workload", "x/web", pod("u1"));
  assertEquals(stateOf(graph), { open: [], friends: [] });
  // Its chains are there ahead: then only the map's entry is to be made.
  assertEquals([graph.flush().programs.size, graph.flush().policies.size], [1, 1]);
  // An address without attachment: another plugin's pod, or what was known of it is lost.
  graph.update("workload", "x/web", pod("u1", {}, OLD_ADDRESS));
  assertEquals(stateOf(graph), {
    open: [`${WEB} x/web u1 ${OLD_ADDRESS}`],
    friends: [OLD_ADDRESS],
  });
});

Deno.test("PolicyGraph gives a new sandbox nothing of its predecessor of the same name", () => {
  const graph = makeGraph();
  graph.update("workload", "x/web", pod("u1", {}, OLD_ADDRESS));
  graph.update("attachment", "c1/eth0", attached("u1", OLD_ADDRESS));
  const open = `${WEB} x/web u1 ${OLD_ADDRESS}`;
  assertEquals(stateOf(graph), { open: [open], friends: [OLD_ADDRESS] });
  // DEL, and the old object is still known.
  graph.update("attachment", "c1/eth0", undefined);
  graph.update("detachment", "x/web", { uid: "u1" });
  assertEquals(stateOf(graph), { open: [], friends: [OLD_ADDRESS] });
  // The new sandbox, before the watch has brought its object.
  graph.update("attachment", "c2/eth0", attached("u2", NEW_ADDRESS));
  graph.update("detachment", "x/web", undefined);
  assertEquals(stateOf(graph), { open: [], friends: [OLD_ADDRESS] });
  graph.update("workload", "x/web", pod("u2", { labels: { app: "other" } }));
  assertEquals(stateOf(graph), { open: [`${WEB} x/web u2 ${NEW_ADDRESS}`], friends: [] });
});

Deno.test("PolicyGraph closes an old sandbox when the new object of its name comes first", () => {
  const graph = makeGraph();
  graph.update("workload", "x/web", pod("u1", {}, OLD_ADDRESS));
  graph.update("attachment", "c1/eth0", attached("u1", OLD_ADDRESS));
  graph.update("workload", "x/web", pod("u2"));
  assertEquals(stateOf(graph), { open: [], friends: [] });
  // Not even where the new object should claim the old one's address.
  graph.update("workload", "x/web", pod("u2", {}, OLD_ADDRESS));
  assertEquals(stateOf(graph), { open: [], friends: [] });
  graph.update("attachment", "c1/eth0", undefined);
  graph.update("attachment", "c2/eth0", attached("u2", NEW_ADDRESS, { containerId: "c2" }));
  graph.update("workload", "x/web", pod("u2", {}, NEW_ADDRESS));
  assertEquals(stateOf(graph), {
    open: [`${WEB} x/web u2 ${NEW_ADDRESS}`],
    friends: [NEW_ADDRESS],
  });
});

Deno.test("PolicyGraph takes an attachment without uid for the pod's of its name", () => {
  const graph = makeGraph();
  graph.update("attachment", "c1/eth0", attached(undefined, OLD_ADDRESS));
  graph.update("workload", "x/web", pod("u1"));
  assertEquals(stateOf(graph), {
    open: [`${WEB} x/web u1 ${OLD_ADDRESS}`],
    friends: [OLD_ADDRESS],
  });
});

Deno.test("PolicyGraph gives an address to its attachment first, even if another pod's status names it", () => {
  const graph = makeGraph();
  graph.update("workload", "x/server", pod("u8", { name: "server", labels: {} }));
  const elsewhere = { name: "other", nodeName: "node2" };
  graph.update("workload", "x/other", pod("u9", elsewhere, OLD_ADDRESS));
  assertEquals(stateOf(graph), { open: [], friends: [OLD_ADDRESS] });
  graph.update("attachment", "c1/eth0", attached("u1", OLD_ADDRESS));
  assertEquals(stateOf(graph), { open: [], friends: [] });
  assertEquals(graph.index.podAt(OLD_ADDRESS), undefined);
  graph.update("workload", "x/web", pod("u1", { labels: {} }));
  assertEquals(stateOf(graph), { open: [`${WEB} x/web u1 ${OLD_ADDRESS}`], friends: [] });
  assertEquals(graph.index.podAt(OLD_ADDRESS)?.uid, "u1");
  graph.update("attachment", "c1/eth0", undefined);
  assertEquals(stateOf(graph), { open: [], friends: [OLD_ADDRESS] });
});

/** Names whose interface names are the same: the prefix leaves one digit of the hash. */
const SHORT_PREFIX = "cali0123456789";

Deno.test("PolicyGraph never opens an interface for two pods, and says which ones collide", () => {
  const names = ["a", "b"].map((letter) => {
    const isZero = (it: string): boolean => interfaceNameOf("x", it, SHORT_PREFIX).endsWith("0");
    return Array.from({ length: 1000 }, (_, index) => `${letter}${index}`).find(isZero) ?? "";
  });
  const [first = "", second = ""] = names;
  const graph = new PolicyGraph({ nodeName: NODE, interfacePrefix: SHORT_PREFIX });
  const namespace = { name: "x", labels: {}, isIsolated: false, denyAction: undefined };
  graph.update("namespace", "x", namespace);
  const interfaceName = `${SHORT_PREFIX}0`;
  const open = (): string[] =>
    [...graph.flush().endpoints.values()]
      .filter((it) => it.interfaceName !== undefined).map((it) => it.workload);
  const conflicts = (): unknown => [...graph.flush().conflicts];
  graph.update("workload", `x/${first}`, pod("u1", { name: first }, OLD_ADDRESS));
  assertEquals([open(), conflicts()], [[`x/${first}`], []]);
  // The addresses do not tell which of the two pods owns the interface.
  graph.update("workload", `x/${second}`, pod("u2", { name: second }, NEW_ADDRESS));
  assertEquals([open(), conflicts()], [[], [[interfaceName, [`x/${first}`, `x/${second}`]]]]);
  const workloads = (): string[] =>
    [...graph.flush().endpoints.values()].map((it) => it.workload).sort();
  assertEquals(workloads(), [`x/${first}`, `x/${second}`], "their addresses are governed still");
  const attachment = attached("u2", NEW_ADDRESS, { pod: second, interfaceName });
  graph.update("attachment", "c1/eth0", attachment);
  assertEquals([open(), conflicts()], [
    [`x/${second}`],
    [[interfaceName, [`x/${first}`, `x/${second}`]]],
  ]);
  graph.update("workload", `x/${second}`, undefined);
  assertEquals(open(), []);
  graph.update("attachment", "c1/eth0", undefined);
  assertEquals([open(), conflicts()], [[`x/${first}`], []]);
});

Deno.test("PolicyGraph goes by the link that names a pod where no attachment is known", () => {
  const [victim, stranger] = ["db-2966798", "m-433254"];
  const [name = "", nextName = ""] = interfaceNamesOf("shop", victim);
  const graph = new PolicyGraph({ nodeName: NODE });
  for (const it of ["shop", "evil"]) {
    graph.update("namespace", it, {
      name: it,
      labels: {},
      isIsolated: false,
      denyAction: undefined,
    });
  }
  const state = (): unknown[] => {
    const { endpoints, conflicts } = graph.flush();
    const open = [...endpoints.values()].filter((it) => it.interfaceName !== undefined)
      .map((it) => `${it.interfaceName} ${it.workload}`);
    return [open.sort(), [...conflicts]];
  };
  const run = (namespace: string, podName: string, address: string): string => {
    const key = `${namespace}/${podName}`;
    graph.update("workload", key, pod(`of ${key}`, { namespace, name: podName }, address));
    return key;
  };
  const one = run("shop", victim, OLD_ADDRESS);
  const other = run("evil", stranger, NEW_ADDRESS);
  assertEquals(state(), [[], [[name, [other, one]]]], "neither can be told");
  graph.update("link", nextName, { podDigest: podDigestOf("shop", victim) });
  assertEquals(state(), [[`${name} ${other}`, `${nextName} ${one}`].sort(), []]);
  graph.update("link", name, { podDigest: podDigestOf("evil", stranger) });
  assertEquals(state(), [[`${name} ${other}`, `${nextName} ${one}`].sort(), []]);
  graph.update("link", nextName, undefined);
  assertEquals(state(), [[`${name} ${other}`], []], "the victim's name is the stranger's link");
  graph.update("link", nextName, { podDigest: podDigestOf("shop", "another") });
  assertEquals(state(), [[`${name} ${other}`], []]);
  for (const it of [nextName, "cali2"]) {
    graph.update("link", it, { podDigest: podDigestOf("shop", victim) });
  }
  assertEquals(state(), [[`${name} ${other}`], []], "two links name it, one is a former sandbox's");
  const holding = { namespace: "shop", pod: victim, interfaceName: "cali2" };
  graph.update("attachment", "c1/eth0", attached(`of ${one}`, OLD_ADDRESS, holding));
  assertEquals(state(), [[`${name} ${other}`, `cali2 ${one}`].sort(), []]);
});

Deno.test("PolicyGraph keeps an interface closed while the attachments of two pods hold it", () => {
  const graph = makeGraph();
  graph.update("workload", "x/db", pod("u1", { name: "db" }));
  const holding = attached("u1", OLD_ADDRESS, { pod: "db" });
  const open = (): string[] =>
    [...graph.flush().endpoints.values()]
      .filter((it) => it.interfaceName === WEB).map((it) => it.workload);
  graph.update("attachment", "c1/eth0", holding);
  assertEquals(open(), ["x/db"]);
  graph.update("attachment", "c2/eth0", attached("u2", NEW_ADDRESS, { containerId: "c2" }));
  assertEquals(open(), []);
  graph.update("attachment", "c2/eth0", undefined);
  assertEquals(open(), ["x/db"]);
});

/** The computed names of both pods, and another one. */
const LINKS = [WEB, interfaceNameOf("x", "db"), "cali1"];

type Fact = (graph: PolicyGraph) => void;

/** Three names, two uids each, that fight about two interfaces and three addresses. */
const facts: fc.Arbitrary<readonly Fact[]> = fc.array(
  fc.oneof(
    fc.record({
      name: fc.constantFrom("web", "db"),
      uid: fc.constantFrom("u1", "u2"),
      addresses: fc.subarray(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
      nodeName: fc.constantFrom(NODE, NODE, "node2"),
      finished: fc.constantFrom(false, false, false, true),
      createdAt: fc.constantFrom("2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z"),
      isThere: fc.boolean(),
    }).map(({ name, uid, addresses, isThere, ...changes }): Fact => {
      const labels = { app: uid === "u1" ? "friend" : "other" };
      const value = pod(uid, { name, labels, ...changes }, ...addresses);
      return (graph) => graph.update("workload", `x/${name}`, isThere ? value : undefined);
    }),
    fc.record({
      key: fc.constantFrom("c1/eth0", "c2/eth0"),
      pod: fc.constantFrom("web", "db"),
      uid: fc.constantFrom("u1", "u2", undefined),
      owner: fc.constantFrom("web", "web", "db", "another"),
      address: fc.constantFrom("10.0.0.1", "10.0.0.2"),
      isThere: fc.boolean(),
    }).map(({ key, uid, address, owner, isThere, ...changes }): Fact => {
      const interfaceName = owner === "another" ? "cali1" : interfaceNameOf("x", owner);
      const value = attached(uid, address, { ...changes, interfaceName });
      return (graph) => graph.update("attachment", key, isThere ? value : undefined);
    }),
    fc.record({
      name: fc.constantFrom("web", "db"),
      uid: fc.constantFrom("u1", "u2"),
      isThere: fc.boolean(),
    }).map(({ name, uid, isThere }): Fact => (graph) =>
      graph.update("detachment", `x/${name}`, isThere ? { uid } : undefined)
    ),
    fc.record({
      name: fc.constantFrom(...LINKS),
      owner: fc.constantFrom("web", "db", "another"),
      isThere: fc.boolean(),
    }).map(({ name, owner, isThere }): Fact => (graph) =>
      graph.update("link", name, isThere ? { podDigest: podDigestOf("x", owner) } : undefined)
    ),
  ),
  { maxLength: 12 },
);

Deno.test("PolicyGraph.flush() depends on objects and attachments, not on the way they came", () => {
  fc.assert(
    fc.property(facts, facts, (before, after) => {
      const all: Fact[] = [
        ...["web", "db"].map((it): Fact => (graph) =>
          graph.update("workload", `x/${it}`, undefined)
        ),
        ...["c1", "c2"].map((it): Fact => (graph) =>
          graph.update("attachment", `${it}/eth0`, undefined)
        ),
        ...["web", "db"].map((it): Fact => (graph) =>
          graph.update("detachment", `x/${it}`, undefined)
        ),
        ...LINKS.map((it): Fact => (graph) => graph.update("link", it, undefined)),
      ];
      const graph = makeGraph();
      for (const fact of before) {
        fact(graph);
        graph.flush();
      }
      for (const fact of [...all, ...after]) {
        fact(graph);
        graph.flush();
      }
      const fresh = makeGraph();
      for (const fact of after) fact(fresh);
      assertEquals(stateOf(graph), stateOf(fresh));
      for (const endpoint of fresh.flush().endpoints.values()) {
        assertEquals(
          graph.flush().endpoints.get(endpoint.interfaceName ?? endpoint.workload),
          endpoint,
        );
      }
    }),
    { numRuns: 500 },
  );
});
