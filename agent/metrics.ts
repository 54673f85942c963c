/**
 * The agent's metrics, a row each: `/metrics` and docs/reference/metrics.md are printed from them. A new
 * metric is a new row.
 */

import { version } from "../lib/base/version.ts";
import type { AddressDoubts } from "../lib/policy/address_doubts.ts";
import type { BypassWatch } from "./bypass_watch.ts";
import type { Facts, KindState } from "./facts.ts";
import type { FlowCutCounts } from "./flow_cut.ts";
import { ageSeconds, isStale } from "./freshness.ts";
import type { IpvsWatch } from "./ipvs.ts";
import type { EnforcementState } from "./loop.ts";
import type { Metric, Sample } from "./metric.ts";

/** The state that metrics are read from. */
export interface MetricsState {
  readonly facts: Pick<Facts, "states">;
  readonly loop: Pick<EnforcementState, "counts" | "enforced" | "failingSinceMs">;
  /** Counters of the flow cut; all zero if it is off. */
  readonly flowCut: FlowCutCounts;
  readonly ipvs: Pick<IpvsWatch, "isPresent" | "judgesOutput">;
  readonly bypass: Pick<BypassWatch, "counts">;
  /** Doubted addresses in pods' statuses. */
  readonly doubts: () => AddressDoubts;
  /** Keys (`namespace/name`) of the queued large policies. */
  readonly waitingPolicies: () => readonly string[];
  readonly nowMs: () => number;
}

/** Every metric, in the order in which they are printed. */
export const METRICS: readonly Metric<MetricsState>[] = [
  {
    name: "build_info",
    type: "gauge",
    labels: ["version"],
    help: "The running version.",
    read: () => [[1, version]],
  },
  {
    name: "objects",
    type: "gauge",
    labels: ["kind"],
    help: "Objects known from the API server.",
    read: perKind((it) => it.objects),
  },
  {
    name: "objects_not_understood",
    type: "gauge",
    labels: ["kind"],
    help: "Objects with a part that the agent cannot read; that part allows nothing.",
    read: perKind((it) => it.problems.size),
  },
  {
    name: "in_sync",
    type: "gauge",
    labels: ["kind"],
    help: "Whether the kind has been listed, can still be read, and is up to date.",
    read: perKind((it, nowMs) =>
      Number(it.isInSync && it.state !== "unreadable" && !isStale(it, nowMs))
    ),
  },
  {
    name: "age_seconds",
    type: "gauge",
    labels: ["kind"],
    help: "Time since the API server's last answer or event for the kind.",
    read: perKind(ageSeconds),
  },
  {
    name: "lists_total",
    type: "counter",
    labels: ["kind"],
    help: "Complete lists of the kind.",
    read: perKind((it) => it.lists),
  },
  {
    name: "api_failures_total",
    type: "counter",
    labels: ["kind"],
    help: "Failed lists and watches of the kind.",
    read: perKind((it) => it.failures),
  },
  {
    name: "unreadable",
    type: "gauge",
    labels: ["kind"],
    help: "Whether the API server serves the kind only in versions that this agent does not know.",
    read: perKind((it) => Number(it.state === "unreadable")),
  },
  {
    name: "kind_version",
    type: "gauge",
    labels: ["kind", "version"],
    help: "The version in which a kind of several versions is read.",
    read: ({ facts }) =>
      Object.entries(facts.states).flatMap(([kind, { version }]): readonly Sample[] =>
        version === undefined ? [] : [[1, kind, version]]
      ),
  },
  {
    name: "pods_with_doubted_address",
    type: "gauge",
    labels: ["reason", "believed"],
    help: "Pods whose status has a doubted address.",
    read: ({ doubts }) => {
      const { ofNodes, outside } = doubts();
      return [[ofNodes.size, "node", "false"], [outside.size, "outside_pod_cidrs", "true"]];
    },
  },
  {
    name: "endpoints",
    type: "gauge",
    help: "Pods of this node in the kernel's table.",
    read: ({ loop }) => loop.enforced?.endpoints.size ?? 0,
  },
  {
    name: "policies",
    type: "gauge",
    help: "Policies in the kernel's table, each direction counted.",
    read: ({ loop }) => loop.enforced?.policies.size ?? 0,
  },
  {
    name: "policies_waiting",
    type: "gauge",
    help: "Large policies that are queued.",
    read: ({ waitingPolicies }) => waitingPolicies().length,
  },
  {
    name: "apply_total",
    type: "counter",
    help: "Rulesets applied to the kernel.",
    read: ({ loop }) => loop.counts.applied,
  },
  {
    name: "apply_failures_total",
    type: "counter",
    help: "Rulesets that the kernel refused.",
    read: ({ loop }) => loop.counts.failed,
  },
  {
    name: "apply_duration_seconds",
    type: "gauge",
    help: "Duration of the last apply of a ruleset.",
    read: ({ loop }) => loop.counts.durationMs / 1000,
  },
  {
    name: "ipvs_present",
    type: "gauge",
    help: "Whether the kernel has IPVS.",
    read: ({ ipvs }) => Number(ipvs.isPresent),
  },
  {
    name: "ipvs_enforced",
    type: "gauge",
    help: "Whether policy judges what the node sends on for Services (IPVS).",
    read: ({ ipvs }) => Number(ipvs.judgesOutput),
  },
  {
    name: "bypass",
    type: "gauge",
    labels: ["kind"],
    help: "Ways past policy, and other policy engines, by kind; /readyz names them.",
    read: ({ bypass }) => Object.entries(bypass.counts).map(([kind, count]) => [count, kind]),
  },
  {
    name: "flows_cut_total",
    type: "counter",
    help: "Open flows cut because policy denies them.",
    read: ({ flowCut }) => flowCut.cut,
  },
  {
    name: "flows_released_total",
    type: "counter",
    help: "Cut flows that are allowed again.",
    read: ({ flowCut }) => flowCut.released,
  },
  {
    name: "flows_refused_total",
    type: "counter",
    help: "Flows that the kernel refused to cut or release.",
    read: ({ flowCut }) => flowCut.refused,
  },
  {
    name: "flows_denied",
    type: "gauge",
    help: "Flows that policy denied at the last read, cut then or before.",
    read: ({ flowCut }) => flowCut.denied,
  },
  {
    name: "flows_read",
    type: "gauge",
    help: "Flows in the last read of the connection tracking table.",
    read: ({ flowCut }) => flowCut.flows,
  },
  {
    name: "flow_cut_passes_total",
    type: "counter",
    help: "Reads of the connection tracking table.",
    read: ({ flowCut }) => flowCut.passes,
  },
  {
    name: "flow_cut_failures_total",
    type: "counter",
    help: "Reads of the connection tracking table that failed and were retried.",
    read: ({ flowCut }) => flowCut.failed,
  },
  {
    name: "flow_cut_duration_seconds",
    type: "gauge",
    help: "Duration of the last read of the connection tracking table.",
    read: ({ flowCut }) => flowCut.durationMs / 1000,
  },
];

/** A sample for each kind of object; where there is no value there is no sample. */
function perKind(
  valueOf: (state: KindState, nowMs: number) => number | undefined,
): (state: MetricsState) => readonly Sample[] {
  return ({ facts, nowMs }) =>
    Object.entries(facts.states).flatMap(([kind, state]): readonly Sample[] => {
      const value = valueOf(state, nowMs());
      return value === undefined ? [] : [[value, kind]];
    });
}
