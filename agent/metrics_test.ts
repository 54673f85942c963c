import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import { version } from "../lib/base/version.ts";
import { BYPASS_KINDS, type BypassKind } from "./bypass.ts";
import type { KindState } from "./facts.ts";
import { HealthServer } from "./health.ts";
import type { EnforcementState } from "./loop.ts";
import { METRIC_PREFIX } from "./metric.ts";
import { METRICS } from "./metrics.ts";

function kind(change: Partial<KindState>): KindState {
  return {
    state: "watching",
    detail: undefined,
    version: undefined,
    isInSync: true,
    heardAtMs: 1_000,
    lists: 1,
    failures: 0,
    objects: 12,
    problems: new Map(),
    ...change,
  };
}

/** One kind of each sort: at work, out of date, unreadable, never heard of. */
const STATES: Readonly<Record<string, KindState>> = {
  pod: kind({ objects: 345, lists: 2, failures: 3 }),
  policy: kind({ state: "failed", problems: new Map([["shop/a", ["x"]], ["shop/b", ["y"]]]) }),
  clusterPolicy: kind({ state: "unreadable", version: "v1beta1" }),
  node: kind({ isInSync: false, heardAtMs: 0, objects: 0 }),
};

const BYPASS = Object.fromEntries(BYPASS_KINDS.map((it, index) => [it, index])) as Record<
  BypassKind,
  number
>;

async function scrape(): Promise<Response> {
  const loop = {
    counts: { applied: 41, failed: 2, durationMs: 7.5 },
    enforced: {
      endpoints: new Map([["cali1", 1], ["cali2", 2]]),
      policies: new Map([["a", 1], ["b", 2], ["c", 3]]),
    },
  } as unknown as EnforcementState;
  await using server = new HealthServer({
    host: "127.0.0.1",
    port: 0,
    state: {
      facts: { states: STATES },
      loop,
      flowCut: {
        passes: 7,
        failed: 1,
        cut: 30,
        released: 4,
        refused: 2,
        flows: 500,
        denied: 26,
        durationMs: 12,
      },
      ipvs: { isPresent: true, judgesOutput: false, details: [] },
      bypass: { counts: BYPASS, details: [] },
      doubts: () => ({ ofNodes: new Map([["shop/a", ["192.0.2.1"]]]), outside: new Map() }),
      waitingPolicies: () => ["a/1", "a/2"],
      unreadyAfterMs: 0,
      nowMs: () => 61_000,
    },
    logger: createLogger({ level: "error" }),
  });
  const { port } = server.addr as Deno.NetAddr;
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  return new Response(await response.text(), response);
}

/** Each metric's lines. */
function blocksOf(exposition: string): readonly string[] {
  return exposition.split(/^(?=# HELP )/m);
}

function nameOf(block: string): string {
  return block.split(" ")[2] ?? "";
}

Deno.test("/metrics is Prometheus text, metric by metric", async () => {
  const response = await scrape();
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4");
  const known = blocksOf(EXPOSITION);
  const printed = blocksOf(await response.text());
  assertEquals(printed.filter((it) => known.some((block) => nameOf(block) === nameOf(it))), known);
  assertEquals(printed.map(nameOf), METRICS.map((it) => `${METRIC_PREFIX}${it.name}`));
});

Deno.test("METRICS follow Prometheus' rules for names", () => {
  const names = METRICS.map((it) => it.name);
  assertEquals(names.filter((it, index) => names.indexOf(it) !== index), []);
  assertEquals(names.filter((it) => !/^[a-z][a-z0-9_]*$/.test(it)), []);
  const counters = METRICS.filter((it) => it.type === "counter").map((it) => it.name);
  assertEquals(counters, names.filter((it) => it.endsWith("_total")));
});

const EXPOSITION = `# HELP calyx_build_info The running version.
# TYPE calyx_build_info gauge
calyx_build_info{version="${version}"} 1
# HELP calyx_objects Objects known from the API server.
# TYPE calyx_objects gauge
calyx_objects{kind="pod"} 345
calyx_objects{kind="policy"} 12
calyx_objects{kind="clusterPolicy"} 12
calyx_objects{kind="node"} 0
# HELP calyx_objects_not_understood Objects with a part that the agent cannot read; that part allows nothing.
# TYPE calyx_objects_not_understood gauge
calyx_objects_not_understood{kind="pod"} 0
calyx_objects_not_understood{kind="policy"} 2
calyx_objects_not_understood{kind="clusterPolicy"} 0
calyx_objects_not_understood{kind="node"} 0
# HELP calyx_in_sync Whether the kind has been listed, can still be read, and is up to date.
# TYPE calyx_in_sync gauge
calyx_in_sync{kind="pod"} 1
calyx_in_sync{kind="policy"} 0
calyx_in_sync{kind="clusterPolicy"} 0
calyx_in_sync{kind="node"} 0
# HELP calyx_age_seconds Time since the API server's last answer or event for the kind.
# TYPE calyx_age_seconds gauge
calyx_age_seconds{kind="pod"} 60
calyx_age_seconds{kind="policy"} 60
calyx_age_seconds{kind="clusterPolicy"} 60
# HELP calyx_lists_total Complete lists of the kind.
# TYPE calyx_lists_total counter
calyx_lists_total{kind="pod"} 2
calyx_lists_total{kind="policy"} 1
calyx_lists_total{kind="clusterPolicy"} 1
calyx_lists_total{kind="node"} 1
# HELP calyx_api_failures_total Failed lists and watches of the kind.
# TYPE calyx_api_failures_total counter
calyx_api_failures_total{kind="pod"} 3
calyx_api_failures_total{kind="policy"} 0
calyx_api_failures_total{kind="clusterPolicy"} 0
calyx_api_failures_total{kind="node"} 0
# HELP calyx_unreadable Whether the API server serves the kind only in versions that this agent does not know.
# TYPE calyx_unreadable gauge
calyx_unreadable{kind="pod"} 0
calyx_unreadable{kind="policy"} 0
calyx_unreadable{kind="clusterPolicy"} 1
calyx_unreadable{kind="node"} 0
# HELP calyx_kind_version The version in which a kind of several versions is read.
# TYPE calyx_kind_version gauge
calyx_kind_version{kind="clusterPolicy",version="v1beta1"} 1
# HELP calyx_pods_with_doubted_address Pods whose status has a doubted address.
# TYPE calyx_pods_with_doubted_address gauge
calyx_pods_with_doubted_address{reason="node",believed="false"} 1
calyx_pods_with_doubted_address{reason="outside_pod_cidrs",believed="true"} 0
# HELP calyx_endpoints Pods of this node in the kernel's table.
# TYPE calyx_endpoints gauge
calyx_endpoints 2
# HELP calyx_policies Policies in the kernel's table, each direction counted.
# TYPE calyx_policies gauge
calyx_policies 3
# HELP calyx_policies_waiting Large policies that are queued.
# TYPE calyx_policies_waiting gauge
calyx_policies_waiting 2
# HELP calyx_apply_total Rulesets applied to the kernel.
# TYPE calyx_apply_total counter
calyx_apply_total 41
# HELP calyx_apply_failures_total Rulesets that the kernel refused.
# TYPE calyx_apply_failures_total counter
calyx_apply_failures_total 2
# HELP calyx_apply_duration_seconds Duration of the last apply of a ruleset.
# TYPE calyx_apply_duration_seconds gauge
calyx_apply_duration_seconds 0.0075
# HELP calyx_ipvs_present Whether the kernel has IPVS.
# TYPE calyx_ipvs_present gauge
calyx_ipvs_present 1
# HELP calyx_ipvs_enforced Whether policy judges what the node sends on for Services (IPVS).
# TYPE calyx_ipvs_enforced gauge
calyx_ipvs_enforced 0
# HELP calyx_bypass Ways past policy, and other policy engines, by kind; /readyz names them.
# TYPE calyx_bypass gauge
calyx_bypass{kind="flow_table"} 0
calyx_bypass{kind="tc_filter"} 1
calyx_bypass{kind="xdp"} 2
calyx_bypass{kind="master"} 3
calyx_bypass{kind="bridged"} 4
calyx_bypass{kind="past_node"} 5
calyx_bypass{kind="other_engine"} 6
calyx_bypass{kind="forwarding_off"} 7
# HELP calyx_flows_cut_total Open flows cut because policy denies them.
# TYPE calyx_flows_cut_total counter
calyx_flows_cut_total 30
# HELP calyx_flows_released_total Cut flows that are allowed again.
# TYPE calyx_flows_released_total counter
calyx_flows_released_total 4
# HELP calyx_flows_refused_total Flows that the kernel refused to cut or release.
# TYPE calyx_flows_refused_total counter
calyx_flows_refused_total 2
# HELP calyx_flows_denied Flows that policy denied at the last read, cut then or before.
# TYPE calyx_flows_denied gauge
calyx_flows_denied 26
# HELP calyx_flows_read Flows in the last read of the connection tracking table.
# TYPE calyx_flows_read gauge
calyx_flows_read 500
# HELP calyx_flow_cut_passes_total Reads of the connection tracking table.
# TYPE calyx_flow_cut_passes_total counter
calyx_flow_cut_passes_total 7
# HELP calyx_flow_cut_failures_total Reads of the connection tracking table that failed and were retried.
# TYPE calyx_flow_cut_failures_total counter
calyx_flow_cut_failures_total 1
# HELP calyx_flow_cut_duration_seconds Duration of the last read of the connection tracking table.
# TYPE calyx_flow_cut_duration_seconds gauge
calyx_flow_cut_duration_seconds 0.012
`;
