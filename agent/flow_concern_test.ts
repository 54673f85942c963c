import { assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import type { PolicyGraph } from "../lib/policy/graph.ts";
import { addPod, sampleGraph } from "../tests/support/facts/sample_facts.ts";
import { type FlowConcern, FlowConcerns } from "./flow_concern.ts";

/** Addresses of the sample's pods by their number: web 1, web-2 2 and db 3 are on this node. */
function addresses(...numbers: readonly number[]): string[] {
  return numbers.flatMap((it) => [`10.244.0.${it}`, `fd00:10:244::${it}`]).sort();
}

const ALLOW_ALL = { peers: undefined, ports: undefined };

function policy(name: string, rest: object = {}): Parameters<typeof update>[2] {
  return {
    namespace: "shop",
    name,
    podSelector: [{ key: "app", operator: "In", values: ["db"] }],
    ingress: [ALLOW_ALL],
    egress: undefined,
    resourceVersion: "9",
    ...rest,
  };
}

function update(
  graph: PolicyGraph,
  key: string,
  value: Parameters<typeof graph.update<"policy">>[2],
): void {
  graph.update("policy", key, value);
}

interface Case {
  readonly change: (graph: PolicyGraph) => void;
  readonly sources: readonly string[];
  readonly destinations: readonly string[];
}

const CASES: Readonly<Record<string, Case>> = {
  "nothing": { change: () => {}, sources: [], destinations: [] },
  "a new policy: the pods that it governs, in its directions": {
    change: (graph) => update(graph, "shop/new", policy("new")),
    sources: [],
    destinations: addresses(3),
  },
  "another rule of a policy": {
    change: (graph) => update(graph, "shop/db", policy("db")),
    sources: [],
    destinations: addresses(3),
  },
  "a policy that is gone": {
    change: (graph) => update(graph, "shop/web", undefined),
    sources: addresses(1, 2),
    destinations: addresses(1, 2),
  },
  "a label that lets a pod elsewhere in no longer": {
    change: (graph) => addPod(graph, "shop", "cart", 4, { app: "other" }, "node2"),
    sources: addresses(4),
    destinations: [],
  },
  "a pod here with another label: itself, and the sets that it was in": {
    change: (graph) => addPod(graph, "shop", "web-2", 2, { app: "other" }),
    sources: addresses(2),
    destinations: addresses(2),
  },
  "a pod here with other addresses": {
    change: (graph) => addPod(graph, "shop", "db", 7, { app: "db" }),
    sources: addresses(3, 7),
    destinations: addresses(3, 7),
  },
  "a pod elsewhere whose port has a name that rules use": {
    change: (graph) => addPod(graph, "shop", "far", 8, { app: "far" }, "node2"),
    sources: [],
    destinations: addresses(8),
  },
  "a pod that no policy names": {
    change: (graph) => addPod(graph, "elsewhere", "far", 8, { app: "far" }, "node2"),
    sources: [],
    destinations: [],
  },
};

for (const [what, { change, ...expected }] of Object.entries(CASES)) {
  Deno.test(`FlowConcerns.take() after ${what}`, () => {
    const graph = sampleGraph();
    const concerns = new FlowConcerns();
    concerns.take(graph.flush());
    change(graph);
    assertEquals(sorted(concerns.take(graph.flush())), expected);
    assertEquals(sorted(concerns.take(graph.flush())), { sources: [], destinations: [] });
  });
}

Deno.test("FlowConcerns.take() says everything at first, and after forget()", () => {
  const desired = sampleGraph().flush();
  const concerns = new FlowConcerns();
  assertEquals(concerns.take(desired), "everything");
  concerns.forget();
  assertEquals(concerns.take(desired), "everything");
});

Deno.test("FlowConcerns.take() says everything when the host has other addresses", () => {
  const desired = sampleGraph().flush();
  const concerns = new FlowConcerns();
  concerns.take(desired);
  assertEquals(
    concerns.take({ ...desired, hostAddresses: [Address.parse("192.0.2.9")] }),
    "everything",
  );
});

Deno.test("FlowConcerns.take() says everything when a set changed more than it remembers", () => {
  const graph = sampleGraph();
  const concerns = new FlowConcerns();
  concerns.take(graph.flush());
  for (let round = 0; round < 2_000; round++) {
    for (const app of ["other", "cart"]) addPod(graph, "shop", "cart", 4, { app }, "node2");
  }
  assertEquals(concerns.take(graph.flush()), "everything");
});

function sorted(concern: FlowConcern | "everything"): unknown {
  if (concern === "everything") return concern;
  return {
    sources: [...concern.sources].sort(),
    destinations: [...concern.destinations].sort(),
  };
}
