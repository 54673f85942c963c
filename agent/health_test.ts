import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import { BYPASS_KINDS, type BypassKind } from "./bypass.ts";
import type { Facts, KindState } from "./facts.ts";
import type { FlowCutCounts } from "./flow_cut.ts";
import { HealthServer, type HealthState } from "./health.ts";
import type { EnforcementState } from "./loop.ts";

const FLOW_CUT: FlowCutCounts = {
  passes: 7,
  failed: 1,
  cut: 30,
  released: 4,
  refused: 2,
  flows: 500,
  denied: 26,
  durationMs: 12,
};

const NO_BYPASS = Object.fromEntries(BYPASS_KINDS.map((it) => [it, 0])) as Record<
  BypassKind,
  number
>;

/** What the agent answers to GET `path`. */
async function ask(path: string, changes: Partial<HealthState> = {}): Promise<[number, string]> {
  await using server = new HealthServer({
    host: "127.0.0.1",
    port: 0,
    state: {
      facts: { states: {} } as Facts,
      loop: { counts: { applied: 1 } } as EnforcementState,
      flowCut: FLOW_CUT,
      ipvs: { isPresent: false, judgesOutput: false, details: [] },
      bypass: { counts: NO_BYPASS, details: [] },
      doubts: () => ({ ofNodes: new Map(), outside: new Map() }),
      waitingPolicies: () => [],
      unreadyAfterMs: 0,
      nowMs: () => 0,
      ...changes,
    },
    logger: createLogger({ level: "error" }),
  });
  const { port } = server.addr as Deno.NetAddr;
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return [response.status, await response.text()];
}

Deno.test("/readyz says ok, and in a line of its own which pods claim one interface", async () => {
  assertEquals(await ask("/readyz"), [200, "ok\n"]);
  const conflicts = new Map([["cali1", ["x/a", "x/b"]]]);
  const loop = { counts: { applied: 1 }, enforced: { conflicts } } as unknown as EnforcementState;
  assertEquals(await ask("/readyz", { loop }), [
    200,
    "ok\nInterface cali1 is claimed by x/a and x/b: open for one of them at most\n",
  ]);
});

Deno.test("/readyz says what is missing", async () => {
  const loop = { counts: { applied: 0 } } as EnforcementState;
  const [status, text] = await ask("/readyz", { loop });
  assertEquals([status, text], [503, "Nothing is in the kernel yet: see the agent's log\n"]);
});

Deno.test("/readyz and /metrics say which pods' addresses are to be doubted", async () => {
  const doubts = () => ({ ofNodes: new Map([["shop/a", ["192.0.2.1"]]]), outside: new Map() });
  assertEquals(await ask("/readyz", { doubts }), [
    200,
    "ok\nAddresses of nodes in pods' statuses are not believed: shop/a (192.0.2.1)\n",
  ]);
  const [, text] = await ask("/metrics", { doubts, loop: APPLIED });
  assertEquals(text.split("\n").filter((it) => it.startsWith("calyx_pods_with")), [
    'calyx_pods_with_doubted_address{reason="node",believed="false"} 1',
    'calyx_pods_with_doubted_address{reason="outside_pod_cidrs",believed="true"} 0',
  ]);
});

Deno.test("/readyz and /metrics say what policy does not see", async () => {
  const bypass = { counts: { ...NO_BYPASS, xdp: 1 }, details: ["XDP programs: cali1"] };
  assertEquals(await ask("/readyz", { bypass }), [200, "ok\nXDP programs: cali1\n"]);
  const [, text] = await ask("/metrics", { bypass, loop: APPLIED });
  const lines = text.split("\n").filter((it) => it.startsWith("calyx_bypass"));
  assertEquals(lines.length, BYPASS_KINDS.length);
  assertEquals(lines.filter((it) => it.endsWith(" 1")), ['calyx_bypass{kind="xdp"} 1']);
});

Deno.test("/readyz and /metrics say which large policies wait", async () => {
  const waitingPolicies = () => ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2", "c/1"];
  assertEquals(await ask("/readyz", { waitingPolicies }), [
    200,
    "ok\nLarge policies wait for their turns, and isolate until then: a/1, a/2, a/3, a/4, b/1, and 2 more\n",
  ]);
  const [, text] = await ask("/metrics", { waitingPolicies, loop: APPLIED });
  assertEquals(text.split("\n").filter((it) => it.startsWith("calyx_policies_waiting")), [
    "calyx_policies_waiting 7",
  ]);
});

/** Facts with ClusterNetworkPolicy in one state. */
function factsIn(change: Partial<KindState>): Facts {
  const state: KindState = {
    state: "watching",
    detail: undefined,
    version: "v1beta1",
    isInSync: true,
    heardAtMs: 0,
    lists: 1,
    failures: 0,
    objects: 1,
    problems: new Map(),
    ...change,
  };
  return { states: { clusterPolicy: state } } as unknown as Facts;
}

const UNREADABLE = { state: "unreadable", detail: "only v9", version: undefined } as const;
const APPLIED = { counts: { applied: 1, failed: 0, durationMs: 0 } } as EnforcementState;

Deno.test("/readyz and /metrics say which kind cannot be read any more", async () => {
  const facts = factsIn(UNREADABLE);
  assertEquals(await ask("/readyz", { facts }), [
    200,
    "ok\nWhat was read last of clusterPolicy stays in force, and no later change counts: only v9\n",
  ]);
  assertEquals(
    await ask("/readyz", { facts: factsIn({ ...UNREADABLE, isInSync: false }) }),
    [503, "Not every clusterPolicy is known yet: only v9\n"],
  );
  const kindLines = async (facts: Facts): Promise<readonly string[]> =>
    (await ask("/metrics", { facts, loop: APPLIED }))[1].split("\n")
      .filter((it) => /^calyx_(in_sync|unreadable|kind_version)/.test(it));
  assertEquals(await kindLines(facts), [
    'calyx_in_sync{kind="clusterPolicy"} 0',
    'calyx_unreadable{kind="clusterPolicy"} 1',
  ]);
  assertEquals(await kindLines(factsIn({})), [
    'calyx_in_sync{kind="clusterPolicy"} 1',
    'calyx_unreadable{kind="clusterPolicy"} 0',
    'calyx_kind_version{kind="clusterPolicy",version="v1beta1"} 1',
  ]);
});

Deno.test("/metrics says what was cut of open flows", async () => {
  const loop = { counts: { applied: 1, failed: 0, durationMs: 0 } } as EnforcementState;
  const [status, text] = await ask("/metrics", { loop });
  const flows = text.split("\n").filter((it) => it.startsWith("calyx_flow"));
  assertEquals([status, flows], [200, [
    "calyx_flows_cut_total 30",
    "calyx_flows_released_total 4",
    "calyx_flows_refused_total 2",
    "calyx_flows_denied 26",
    "calyx_flows_read 500",
    "calyx_flow_cut_passes_total 7",
    "calyx_flow_cut_failures_total 1",
    "calyx_flow_cut_duration_seconds 0.012",
  ]]);
});
