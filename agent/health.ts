/**
 * What the world may ask without a secret: /healthz (the process works), /readyz (policy is in force),
 * /metrics (Prometheus text). On loopback unless configured otherwise.
 */

import { formatAddressDoubts } from "./address_report.ts";
import type { BypassWatch } from "./bypass_watch.ts";
import type { Facts } from "./facts.ts";
import type { FlowCutCounts } from "./flow_cut.ts";
import type { IpvsWatch } from "./ipvs.ts";
import { ageSeconds, formatDuration, formatStale, isStale, staleMs } from "./freshness.ts";
import { HttpServer } from "./http_server.ts";
import { formatWaiting } from "./large_policies.ts";
import { type EnforcementLoop, formatConflicts } from "./loop.ts";
import type { Logger } from "../lib/base/log.ts";
import { version } from "../lib/base/version.ts";
import type { AddressDoubts } from "../lib/policy/address_doubts.ts";

/** What the answers are made from. */
export interface HealthOptions {
  readonly host: string;
  readonly port: number;
  readonly facts: Facts;
  readonly loop: EnforcementLoop;
  /** What the cut of flows has done; all zero where it is off. */
  readonly flowCut: FlowCutCounts;
  readonly ipvs: Pick<IpvsWatch, "isPresent" | "judgesOutput" | "details">;
  readonly bypass: Pick<BypassWatch, "counts" | "details">;
  /** Addresses in pods' statuses that are to be doubted. */
  readonly doubts: () => AddressDoubts;
  /** Keys of the large policies that wait for their turns. */
  readonly waitingPolicies: () => readonly string[];
  /** Why nothing can be enforced although every kind is known; `undefined`: nothing keeps from it. */
  readonly missing?: () => string | undefined;
  /** What else people must know, one sentence each. */
  readonly moreDetails?: () => readonly string[];
  /** After so long without the API server it is not ready; 0: it stays so. */
  readonly unreadyAfterMs: number;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

/** How often it tries to listen. */
const LISTEN_INTERVAL_MS = 10_000;
/** A loop that has failed for so long is not ready any more. */
const FAILURE_MS_MAX = 60_000;

/** Answers until it is disposed of. Where it cannot listen it says so, and tries again: enforcement goes on. */
export class HealthServer implements AsyncDisposable {
  readonly #options: HealthOptions;
  #server: HttpServer | undefined;
  #timer: number | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#open();
  }

  /** Where it listens; `undefined`: nowhere yet. */
  get addr(): Deno.Addr | undefined {
    return this.#server?.addr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#server?.shutdown();
  }

  #open(): void {
    const { host, port, logger } = this.#options;
    try {
      const listener = Deno.listen({ hostname: host, port });
      const answer = (request: Request): Response => answerHealth(this.#options, request);
      this.#server = new HttpServer({ name: "the health port", listener, answer, logger });
    } catch (error) {
      const reason = error instanceof Deno.errors.AddrInUse
        ? "another process has it"
        : error instanceof Error
        ? error.message
        : String(error);
      logger.warn("health port not open; trying again", {
        error: `Cannot listen on ${host} port ${port}: ${reason}. ` +
          "Set --health-host and --health-port (CALYX_HEALTH_HOST, CALYX_HEALTH_PORT)",
        delayMs: LISTEN_INTERVAL_MS,
      });
      this.#timer = setTimeout(() => this.#open(), LISTEN_INTERVAL_MS);
    }
  }
}

function answerHealth(options: HealthOptions, request: Request): Response {
  switch (new URL(request.url).pathname) {
    case "/healthz":
      return new Response("ok\n");
    case "/readyz": {
      const reason = unreadyReason(options);
      const text = [reason ?? "ok", ...readyDetails(options)].map((line) => `${line}\n`).join("");
      return new Response(text, { status: reason === undefined ? 200 : 503 });
    }
    case "/metrics":
      return new Response(formatMetrics(options), {
        headers: { "content-type": "text/plain; version=0.0.4" },
      });
    default:
      return new Response("There are /healthz, /readyz and /metrics\n", { status: 404 });
  }
}

/** What people should know: it does not make a node unready for all its other pods. */
export function readyDetails(
  options: Pick<
    HealthOptions,
    "facts" | "loop" | "doubts" | "ipvs" | "bypass" | "waitingPolicies" | "moreDetails" | "nowMs"
  >,
): readonly string[] {
  return [
    ...unreadKinds(options.facts),
    ...formatStale(options.facts, options.nowMs()),
    ...formatAddressDoubts(options.doubts()),
    ...formatConflicts(options.loop.enforced?.conflicts ?? new Map()),
    ...options.ipvs.details,
    ...options.bypass.details,
    ...formatWaiting(options.waitingPolicies()),
    ...options.moreDetails?.() ?? [],
  ];
}

/** Why policy is not in force, in one sentence; `undefined` when it is. */
export function unreadyReason(
  { facts, loop, missing, unreadyAfterMs, nowMs }: Pick<
    HealthOptions,
    "facts" | "loop" | "missing" | "unreadyAfterMs" | "nowMs"
  >,
): string | undefined {
  for (const [kind, state] of Object.entries(facts.states)) {
    if (!state.isInSync) {
      return `Not every ${kind} is known yet: ${state.detail ?? state.state}`;
    }
  }
  const reason = missing?.();
  if (reason !== undefined) return reason;
  if (loop.counts.applied === 0) return "Nothing is in the kernel yet: see the agent's log";
  if (loop.failingSinceMs !== undefined && nowMs() - loop.failingSinceMs > FAILURE_MS_MAX) {
    return "The kernel refuses changes: see the agent's log";
  }
  if (unreadyAfterMs > 0 && staleMs(facts, nowMs()) > unreadyAfterMs) {
    return `The API server was not heard for ${formatDuration(unreadyAfterMs / 1_000)}`;
  }
  return undefined;
}

/** Kinds of which what was read once is in force and nothing newer can be read, a sentence each. */
export function unreadKinds({ states }: Pick<Facts, "states">): readonly string[] {
  return Object.entries(states)
    .filter(([, it]) => it.isInSync && it.state === "unreadable")
    .map(([kind, { detail }]) =>
      `What was read last of ${kind} stays in force, and no later change counts: ${detail}`
    );
}

function formatMetrics(options: HealthOptions): string {
  const { facts, loop, flowCut, ipvs, bypass, doubts, waitingPolicies } = options;
  const lines: string[] = [];
  const metric = (
    name: string,
    type: "counter" | "gauge",
    help: string,
    samples: readonly (readonly [string, number])[],
  ): void => {
    lines.push(`# HELP calyx_${name} ${help}`, `# TYPE calyx_${name} ${type}`);
    for (const [labels, value] of samples) lines.push(`calyx_${name}${labels} ${value}`);
  };
  const states = Object.entries(facts.states);
  const perKind = (value: (kind: string) => number): readonly (readonly [string, number])[] =>
    states.map(([kind]) => [`{kind="${kind}"}`, value(kind)]);
  metric("build_info", "gauge", "The running version.", [[`{version="${version}"}`, 1]]);
  metric(
    "objects",
    "gauge",
    "Objects known from the API server.",
    perKind((kind) => facts.states[kind]?.objects ?? 0),
  );
  metric(
    "objects_not_understood",
    "gauge",
    "Objects with a part that could not be understood.",
    perKind((kind) => facts.states[kind]?.problems.size ?? 0),
  );
  metric(
    "in_sync",
    "gauge",
    "Whether the kind has been listed, can still be read, and is up to date.",
    states.map(([kind, state]) => [
      `{kind="${kind}"}`,
      state.isInSync && state.state !== "unreadable" && !isStale(state, options.nowMs()) ? 1 : 0,
    ]),
  );
  metric(
    "age_seconds",
    "gauge",
    "Time since the API server has last said something of the kind.",
    states.flatMap(([kind, state]) => {
      const age = ageSeconds(state, options.nowMs());
      return age === undefined ? [] : [[`{kind="${kind}"}`, age] as const];
    }),
  );
  metric(
    "lists_total",
    "counter",
    "How often the kind was listed whole.",
    perKind((kind) => facts.states[kind]?.lists ?? 0),
  );
  metric(
    "api_failures_total",
    "counter",
    "How often a list or a watch of the kind failed.",
    perKind((kind) => facts.states[kind]?.failures ?? 0),
  );
  metric(
    "unreadable",
    "gauge",
    "Whether the API server serves the kind only in versions that this agent does not know.",
    states.map(([kind, { state }]) => [`{kind="${kind}"}`, state === "unreadable" ? 1 : 0]),
  );
  metric(
    "kind_version",
    "gauge",
    "The version in which a kind of several versions is read.",
    states.filter(([, it]) => it.version !== undefined)
      .map(([kind, { version }]) => [`{kind="${kind}",version="${version}"}`, 1]),
  );
  const { ofNodes, outside } = doubts();
  metric("pods_with_doubted_address", "gauge", "Pods whose status has an address to be doubted.", [
    ['{reason="node",believed="false"}', ofNodes.size],
    ['{reason="outside_pod_cidrs",believed="true"}', outside.size],
  ]);
  metric("endpoints", "gauge", "Pods of this node that the kernel knows.", [
    ["", loop.enforced?.endpoints.size ?? 0],
  ]);
  metric("policies", "gauge", "Directions of policies in the kernel.", [
    ["", loop.enforced?.policies.size ?? 0],
  ]);
  metric("policies_waiting", "gauge", "Large policies that wait for their turns.", [
    ["", waitingPolicies().length],
  ]);
  metric("apply_total", "counter", "Flushes that reached the kernel.", [["", loop.counts.applied]]);
  metric("apply_failures_total", "counter", "Flushes that the kernel refused.", [
    ["", loop.counts.failed],
  ]);
  metric("apply_duration_seconds", "gauge", "Duration of the last flush.", [
    ["", loop.counts.durationMs / 1000],
  ]);
  metric("ipvs_present", "gauge", "Whether the kernel has IPVS.", [["", Number(ipvs.isPresent)]]);
  metric("ipvs_enforced", "gauge", "Whether policy judges what the node sends on for others.", [
    ["", Number(ipvs.judgesOutput)],
  ]);
  metric(
    "bypass",
    "gauge",
    "What policy does not see, or others decide as well, by kind; /readyz has the names.",
    Object.entries(bypass.counts).map(([kind, count]) => [`{kind="${kind}"}`, count]),
  );
  const flows: readonly (readonly [keyof FlowCutCounts, string, "counter" | "gauge", string])[] = [
    ["cut", "flows_cut_total", "counter", "Open flows cut because policy denies them."],
    ["released", "flows_released_total", "counter", "Cut flows that are allowed again."],
    [
      "refused",
      "flows_refused_total",
      "counter",
      "Flows that the kernel would not cut or release.",
    ],
    [
      "denied",
      "flows_denied",
      "gauge",
      "Flows that policy denied at the last look, cut before or then.",
    ],
    ["flows", "flows_read", "gauge", "Flows read at the last look."],
    ["passes", "flow_cut_passes_total", "counter", "Looks at the kernel's table of flows."],
    ["failed", "flow_cut_failures_total", "counter", "Looks that failed and were tried again."],
  ];
  for (const [count, name, type, help] of flows) metric(name, type, help, [["", flowCut[count]]]);
  metric("flow_cut_duration_seconds", "gauge", "Duration of the last look.", [
    ["", flowCut.durationMs / 1000],
  ]);
  return lines.join("\n") + "\n";
}
