import { assertEquals } from "@std/assert";
import { addPod, sampleGraph } from "../../tests/support/facts/sample_facts.ts";
import type { NetworkPolicy } from "../model/policy.ts";
import { compile } from "./compile/compile.ts";
import { diff } from "./diff.ts";
import type { Sent } from "./sent.ts";

const NOTHING: Sent = { chains: new Map(), sets: new Map() };

function namesOf(difference: ReturnType<typeof diff>): string[] {
  return (difference?.transactions.flat() ?? []).map((it) => `${it.name} ${it.subject}`);
}

Deno.test("diff() is empty once everything was sent", () => {
  const graph = sampleGraph();
  const first = diff(NOTHING, compile(graph.flush()), 0);
  const second = diff(first?.sent ?? NOTHING, compile(graph.flush()), 0);
  assertEquals(namesOf(second), []);
});

Deno.test("diff() sends elements only for a pod of another node", () => {
  const graph = sampleGraph();
  const first = diff(NOTHING, compile(graph.flush()), 0);
  addPod(graph, "shop", "cart-2", 9, { app: "cart" }, "node2");
  const second = diff(first?.sent ?? NOTHING, compile(graph.flush()), 0);
  assertEquals(
    new Set(second?.transactions.flat().map((it) => it.name)),
    new Set(["NFT_MSG_NEWSETELEM"]),
  );
  assertEquals(second?.changed, { chains: 0, sets: 0, elements: 8 });
});

Deno.test("diff() touches only the chains of the policy that changed", () => {
  const graph = sampleGraph();
  const first = diff(NOTHING, compile(graph.flush()), 0);
  graph.update("policy", "shop/db", {
    namespace: "shop",
    name: "db",
    podSelector: [{ key: "app", operator: "In", values: ["db"] }],
    ingress: [],
    egress: undefined,
    resourceVersion: "2",
  });
  const second = diff(first?.sent ?? NOTHING, compile(graph.flush()), 0);
  assertEquals(
    namesOf(second).sort(),
    [
      "NFT_MSG_DELRULE rules of chain inet calyx policy-ingress/shop/db",
      ...["a4", "a6"].flatMap((kind) =>
        setsOfDb().map((hash) => `NFT_MSG_DELSET set inet calyx ${kind}-${hash}`)
      ),
    ].sort(),
  );
});

/** The hashes of the two sets that only the policy shop/db names. */
function setsOfDb(): string[] {
  const ruleset = compile(sampleGraph().flush());
  return [...ruleset.sets.values()]
    .filter((it) =>
      it.comment === "pods shop/[app in (cart,web)]" || it.comment === "pods [team=ops]/[<all>]"
    )
    .filter((it) => it.name.startsWith("a4-"))
    .map((it) => it.name.slice(3));
}

Deno.test("diff() gives a new chain its rules before a packet can be sent to it", () => {
  const graph = sampleGraph();
  const first = diff(NOTHING, compile(graph.flush()), 0);
  assertEquals(first?.transactions.length, 1); // no packet meets any of it
  graph.update("policy", "shop/new", {
    namespace: "shop",
    name: "new",
    podSelector: [{ key: "app", operator: "In", values: ["db"] }],
    ingress: [{ peers: undefined, ports: undefined }],
    egress: undefined,
    resourceVersion: "1",
  });
  const second = diff(first?.sent ?? NOTHING, compile(graph.flush()), 0);
  const names = second?.transactions.map((it) => [...new Set(it.map(({ name }) => name))]);
  assertEquals(names, [
    ["NFT_MSG_NEWCHAIN", "NFT_MSG_NEWRULE"],
    ["NFT_MSG_DELSETELEM", "NFT_MSG_NEWSETELEM", "NFT_MSG_DELRULE", "NFT_MSG_DELCHAIN"],
  ]);
});

Deno.test("diff() deletes what is named by nothing any more, after what named it", () => {
  const graph = sampleGraph();
  const first = diff(NOTHING, compile(graph.flush()), 0);
  for (const name of ["shop/default-deny", "shop/web", "shop/db"]) {
    graph.update("policy", name, undefined);
  }
  const names = diff(first?.sent ?? NOTHING, compile(graph.flush()), 0)?.transactions.flat()
    .map((it) => it.name) ?? [];
  const firstDeletedChain = names.indexOf("NFT_MSG_DELCHAIN");
  assertEquals(names.lastIndexOf("NFT_MSG_DELSETELEM") < firstDeletedChain, true);
  assertEquals(names.lastIndexOf("NFT_MSG_DELRULE") < firstDeletedChain, true);
  assertEquals(names.indexOf("NFT_MSG_DELSET") > firstDeletedChain, true);
});

Deno.test("diff() asks for the kernel's state when the log of a set is too short", () => {
  const graph = sampleGraph();
  const first = diff(NOTHING, compile(graph.flush()), 0);
  for (let i = 0; i < 3000; i++) {
    addPod(graph, "shop", "cart", 10 + (i % 2), { app: "cart" }, "node2");
  }
  assertEquals(diff(first?.sent ?? NOTHING, compile(graph.flush()), 0), undefined);
});

Deno.test("diff() makes and deletes in pieces what no packet meets, and changes the rest at once", () => {
  const graph = sampleGraph();
  const addPolicies = (value: (index: number) => NetworkPolicy | undefined): void => {
    for (let i = 0; i < 1000; i++) graph.update("policy", `shop/p${i}`, value(i));
  };
  const small = diff(NOTHING, compile(graph.flush()), 0);
  addPolicies((index) => ({
    ...{ namespace: "shop", name: `p${index}`, podSelector: [], egress: undefined },
    ingress: [{
      peers: undefined,
      ports: [{ protocol: "TCP", port: { first: index, last: 65535 } }],
    }],
    resourceVersion: "1",
  }));
  const large = compile(graph.flush());
  const grown = diff(small?.sent ?? NOTHING, large, 0);
  addPolicies(() => undefined);
  const shrunk = diff(grown?.sent ?? NOTHING, compile(graph.flush()), 0);
  for (const [what, difference] of [["grown", grown], ["shrunk", shrunk]] as const) {
    const transactions = difference?.transactions ?? [];
    const changing = transactions.filter((it) => it.some(({ name }) => name.endsWith("SETELEM")));
    assertEquals(changing.length, 1, what);
    assertEquals(transactions.length > 3, true, what);
    assertEquals(
      transactions.indexOf(changing[0] ?? []),
      {
        grown: transactions.length - 1,
        shrunk: 1, // after the new chain of the pods that nothing but the rest governs
      }[what],
    );
    assertEquals(Math.max(...transactions.map((it) => it.length)) < 600, true, what);
  }
  assertEquals((diff(NOTHING, large, 0)?.transactions.length ?? 0) > 3, true);
});

Deno.test("diff() replaces a base chain that is hooked in otherwise, and nothing else", () => {
  const ruleset = compile(sampleGraph().flush());
  const first = diff(NOTHING, ruleset, 0);
  const chains = new Map(first?.sent.chains);
  const name = [...ruleset.chains.values()].find((it) => it.hook?.name === "forward")?.name ?? "";
  chains.set(name, { hook: "filter hook 2 priority 300 policy drop", tags: "" });
  const second = diff({ chains, sets: first?.sent.sets ?? new Map() }, ruleset, 0);
  assertEquals(
    [...new Set(namesOf(second))],
    [
      `NFT_MSG_DELCHAIN chain inet calyx ${name}`,
      `NFT_MSG_NEWCHAIN chain inet calyx ${name}`,
      ...new Set(
        ruleset.chains.get(name)?.rules.map(({ comment }) =>
          `NFT_MSG_NEWRULE rule of chain inet calyx ${name}` +
          (comment === undefined ? "" : ` "${comment}"`)
        ),
      ),
    ],
  );
  assertEquals(second?.transactions.length, 1);
  assertEquals(namesOf(diff(second?.sent ?? NOTHING, ruleset, 0)), []);
});

Deno.test("diff() replaces the table when another version defined a set differently", () => {
  const sent: Sent = {
    chains: new Map(),
    sets: new Map([["pods", { tag: "other", elements: { kind: "listed", contents: new Map() } }]]),
  };
  const names = namesOf(diff(sent, compile(sampleGraph().flush()), 0));
  assertEquals(names.slice(0, 2), [
    "NFT_MSG_DELTABLE table inet calyx",
    "NFT_MSG_NEWTABLE table inet calyx",
  ]);
});
