import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import type { NetworkPolicy, PolicyRule } from "../lib/model/policy.ts";
import { LargePolicies } from "./large_policies.ts";

const LARGE = 4;

/** A policy for the pods `app: APP`, with so many rules a direction; `undefined`: not governed. */
interface Sketch {
  readonly app?: string;
  readonly ingress?: number;
  readonly egress?: number;
}

/** What happens, in the words of the table below. */
type Step =
  | "start"
  | "turn"
  | readonly ["take", key: string, version: string, sketch: Sketch]
  | readonly ["delete", key: string];

function policyOf(key: string, resourceVersion: string, sketch: Sketch): NetworkPolicy {
  const [namespace = "", name = ""] = key.split("/");
  const rules = (count: number | undefined): readonly PolicyRule[] | undefined =>
    count === undefined
      ? undefined
      : Array.from({ length: count }, () => ({ peers: undefined, ports: undefined }));
  const { app = "a", ingress, egress } = sketch;
  return {
    namespace,
    name,
    podSelector: [{ key: "app", operator: "In", values: [app] }],
    ingress: rules(ingress),
    egress: rules(egress),
    resourceVersion,
  };
}

/** What a graph has: by key, the pods and how many rules of ingress and egress. */
class Graph {
  readonly policies = new Map<string, NetworkPolicy>();

  update(key: string, policy: NetworkPolicy | undefined): boolean {
    if (policy === undefined) this.policies.delete(key);
    else this.policies.set(key, policy);
    return !key.startsWith("elsewhere/");
  }

  get lines(): readonly string[] {
    return [...this.policies.values()].sort((a, b) => a.name < b.name ? -1 : 1).map((it) => {
      const app = it.podSelector[0]?.values.join();
      const counts = `${it.ingress?.length ?? "-"}/${it.egress?.length ?? "-"}`;
      return `${it.namespace}/${it.name}: ${app} ${counts}`;
    });
  }
}

interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
  /** `namespace/name: pods ingress/egress`. */
  readonly graph: readonly string[];
  readonly waiting?: readonly string[];
}

const BIG: Sketch = { ingress: 9 };
const CASES: readonly Case[] = [
  {
    name: "before the first sync everything goes straight in",
    steps: [["take", "x/p", "1", BIG]],
    graph: ["x/p: a 9/-"],
  },
  {
    name: "a small one never waits",
    steps: ["start", ["take", "x/p", "1", { ingress: LARGE }]],
    graph: ["x/p: a 4/-"],
  },
  {
    name: "a new one isolates its pods, in the directions that it governs",
    steps: ["start", ["take", "x/p", "1", { ingress: 9, egress: 1 }]],
    graph: ["x/p (waits): a 0/0"],
    waiting: ["x/p"],
  },
  {
    name: "and no other direction",
    steps: ["start", ["take", "x/p", "1", { egress: 9 }]],
    graph: ["x/p (waits): a -/0"],
    waiting: ["x/p"],
  },
  {
    name: "at its turn it is there",
    steps: ["start", ["take", "x/p", "1", BIG], "turn"],
    graph: ["x/p: a 9/-"],
  },
  {
    name: "a changed one stays as it was until its turn",
    steps: [["take", "x/p", "1", { ingress: 1 }], "start", ["take", "x/p", "2", BIG]],
    graph: ["x/p: a 1/-"],
    waiting: ["x/p"],
  },
  {
    name: "and then is as it should be",
    steps: [["take", "x/p", "1", { ingress: 1 }], "start", ["take", "x/p", "2", BIG], "turn"],
    graph: ["x/p: a 9/-"],
  },
  {
    name: "a changed one isolates the pods that it selects now",
    steps: [["take", "x/p", "1", BIG], "start", ["take", "x/p", "2", { ...BIG, app: "b" }]],
    graph: ["x/p: a 9/-", "x/p (waits): b 0/-"],
    waiting: ["x/p"],
  },
  {
    name: "a changed one isolates in the direction that it governs now",
    steps: [["take", "x/p", "1", BIG], "start", ["take", "x/p", "2", { ...BIG, egress: 1 }]],
    graph: ["x/p: a 9/-", "x/p (waits): a 0/0"],
    waiting: ["x/p"],
  },
  {
    name: "a changed one that governs less isolates nothing more",
    steps: [["take", "x/p", "1", { ...BIG, egress: 1 }], "start", ["take", "x/p", "2", BIG]],
    graph: ["x/p: a 9/1"],
    waiting: ["x/p"],
  },
  {
    name: "one that changes while it waits isolates as its last version says",
    steps: [
      "start",
      ["take", "x/p", "1", BIG],
      ["take", "x/p", "2", { app: "b", egress: 9 }],
    ],
    graph: ["x/p (waits): b -/0"],
    waiting: ["x/p"],
  },
  {
    name: "and comes once, as its last version",
    steps: [
      "start",
      ["take", "x/p", "1", BIG],
      ["take", "x/p", "2", { app: "b", egress: 8 }],
      "turn",
      "turn",
    ],
    graph: ["x/p: b -/8"],
  },
  {
    name: "one that turns small while it waits is there at once",
    steps: ["start", ["take", "x/p", "1", BIG], ["take", "x/p", "2", { ingress: 1 }], "turn"],
    graph: ["x/p: a 1/-"],
  },
  {
    name: "one that is deleted while it waits is gone, and does not come back",
    steps: ["start", ["take", "x/p", "1", BIG], ["delete", "x/p"], "turn"],
    graph: [],
  },
  {
    name: "one that is deleted while its next version waits is gone with it",
    steps: [
      ["take", "x/p", "1", BIG],
      "start",
      ["take", "x/p", "2", { ...BIG, app: "b" }],
      ["delete", "x/p"],
      "turn",
    ],
    graph: [],
  },
  {
    name: "one that is deleted and made again waits as a new one",
    steps: [
      ["take", "x/p", "1", BIG],
      "start",
      ["delete", "x/p"],
      ["take", "x/p", "2", BIG],
    ],
    graph: ["x/p (waits): a 0/-"],
    waiting: ["x/p"],
  },
  {
    name: "a list that says again what is known changes nothing",
    steps: [["take", "x/p", "1", BIG], "start", ["take", "x/p", "1", { ...BIG, app: "b" }]],
    graph: ["x/p: a 9/-"],
  },
  {
    name: "a list that takes back what waits is believed",
    steps: [
      ["take", "x/p", "1", BIG],
      "start",
      ["take", "x/p", "2", { ...BIG, app: "b" }],
      ["take", "x/p", "1", BIG],
      "turn",
    ],
    graph: ["x/p: a 9/-"],
  },
  {
    name: "policies that concern no pod of this node delay no other policy",
    steps: [
      "start",
      ["take", "elsewhere/p", "1", BIG],
      ["take", "elsewhere/q", "1", BIG],
      ["take", "x/r", "1", BIG],
      ["take", "x/s", "1", BIG],
      "turn",
      "turn",
    ],
    graph: ["elsewhere/p: a 9/-", "elsewhere/q: a 9/-", "x/r: a 9/-", "x/s: a 9/-"],
  },
];

for (const { name, steps, graph: expected, waiting = [] } of CASES) {
  Deno.test(`LargePolicies: ${name}`, () => {
    const graph = new Graph();
    const large = largePolicies(graph);
    for (const step of steps) play(large, step);
    assertEquals(graph.lines, expected);
    assertEquals(large.waiting, waiting);
  });
}

function largePolicies(graph: Graph, log: unknown[] = []): LargePolicies {
  return new LargePolicies({
    update: (key, policy) => graph.update(key, policy),
    logger: createLogger({ write: (line) => log.push(JSON.parse(line).message) }),
    costMax: LARGE,
  });
}

function play(large: LargePolicies, step: Step): void {
  if (step === "start") large.start();
  else if (step === "turn") large.takeTurn();
  else if (step[0] === "delete") large.take(step[1], undefined);
  else large.take(step[1], policyOf(step[1], step[2], step[3]));
}

Deno.test("LargePolicies: the namespaces take turns", () => {
  const graph = new Graph();
  const log: unknown[] = [];
  const large = largePolicies(graph, log);
  large.start();
  const take = (key: string): boolean => large.take(key, policyOf(key, "1", BIG));
  for (const key of ["x/1", "x/2", "x/3", "y/1", "y/2", "z/1"]) assertEquals(take(key), true, key);
  const order: string[] = [];
  const turn = (): void => {
    const before = large.waiting;
    assertEquals(large.takeTurn(), true);
    order.push(...before.filter((it) => !large.waiting.includes(it)));
  };
  for (let i = 0; i < 4; i++) turn();
  take("w/1"); // waits for no second one of x
  for (let i = 0; i < 3; i++) turn();
  assertEquals(order, ["x/1", "y/1", "z/1", "x/2", "y/2", "w/1", "x/3"]);
  assertEquals(large.takeTurn(), false);
  assertEquals(log, ["large policies queued", "no large policy queued any more"]);
});
