/**
 * What the world may ask without a secret: /healthz (the process works), /readyz (policy is in force),
 * /metrics (Prometheus text). On loopback unless configured otherwise.
 */

import { formatAddressDoubts } from "./address_report.ts";
import type { BypassWatch } from "./bypass_watch.ts";
import type { Facts } from "./facts.ts";
import type { IpvsWatch } from "./ipvs.ts";
import { formatDuration, formatStale, staleMs } from "./freshness.ts";
import { HttpServer } from "./http_server.ts";
import { formatWaiting } from "./large_policies.ts";
import { formatConflicts } from "./loop.ts";
import { formatMetrics } from "./metric.ts";
import { METRICS, type MetricsState } from "./metrics.ts";
import type { Logger } from "../lib/base/log.ts";

/** What the answers are made from. */
export interface HealthOptions extends MetricsState {
  readonly host: string;
  readonly port: number;
  readonly ipvs: Pick<IpvsWatch, "isPresent" | "judgesOutput" | "details">;
  readonly bypass: Pick<BypassWatch, "counts" | "details">;
  /** Why nothing can be enforced although every kind is known; `undefined`: nothing keeps from it. */
  readonly missing?: () => string | undefined;
  /** What else people must know, one sentence each. */
  readonly moreDetails?: () => readonly string[];
  /** After so long without the API server it is not ready; 0: it stays so. */
  readonly unreadyAfterMs: number;
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
      return new Response(formatMetrics(METRICS, options), {
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
