/**
 * What the world may ask without a secret: /healthz (the process works), /readyz (policy is in force),
 * /metrics (Prometheus text). On loopback unless configured otherwise.
 */

import { HttpServer } from "./http_server.ts";
import { formatMetrics } from "./metric.ts";
import { METRICS, type MetricsState } from "./metrics.ts";
import { type ReadinessState, readyDetails, unreadyReason } from "./readiness.ts";
import type { Logger } from "../lib/base/log.ts";

/** The state that the answers are computed from. */
export type HealthState = MetricsState & ReadinessState;

/** The address to listen on, and the state to report. */
export interface HealthOptions {
  readonly host: string;
  readonly port: number;
  readonly state: HealthState;
  readonly logger: Logger;
}

/** How often it tries to listen. */
const LISTEN_INTERVAL_MS = 10_000;

/** Answers until it is disposed of. If it cannot listen, it logs why and retries; enforcement continues. */
export class HealthServer implements AsyncDisposable {
  readonly #options: HealthOptions;
  #server: HttpServer | undefined;
  #timer: number | undefined;

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#open();
  }

  /** The address that it listens on; `undefined`: it does not listen yet. */
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
      const answer = (request: Request): Response => answerHealth(this.#options.state, request);
      this.#server = new HttpServer({ name: "the health port", listener, answer, logger });
    } catch (error) {
      const reason = error instanceof Deno.errors.AddrInUse
        ? "another process has it"
        : error instanceof Error
        ? error.message
        : String(error);
      logger.warn("cannot open the health port; trying again", {
        error: `Cannot listen on ${host} port ${port}: ${reason}. ` +
          "Set --health-host and --health-port (CALYX_HEALTH_HOST, CALYX_HEALTH_PORT)",
        delayMs: LISTEN_INTERVAL_MS,
      });
      this.#timer = setTimeout(() => this.#open(), LISTEN_INTERVAL_MS);
    }
  }
}

function answerHealth(state: HealthState, request: Request): Response {
  switch (new URL(request.url).pathname) {
    case "/healthz":
      return new Response("ok\n");
    case "/readyz": {
      const reason = unreadyReason(state);
      const text = [reason ?? "ok", ...readyDetails(state)].map((line) => `${line}\n`).join("");
      return new Response(text, { status: reason === undefined ? 200 : 503 });
    }
    case "/metrics":
      return new Response(formatMetrics(METRICS, state), {
        headers: { "content-type": "text/plain; version=0.0.4" },
      });
    default:
      return new Response("There are /healthz, /readyz and /metrics\n", { status: 404 });
  }
}
