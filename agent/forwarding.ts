/**
 * Keeps the node forwarding what its pods send and get, as the plugin set it at ADD: a service that
 * reloads `/etc/sysctl.d` may set it to 0 at any time, and then nothing passes between pods. Where
 * `/proc/sys` cannot be written the watch for ways past policy tells of it (`forwarding_off`).
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { Logger } from "../lib/base/log.ts";
import type { Family } from "../lib/ip/address.ts";
import { KernelError } from "../lib/kernel/errno.ts";
import { readSysctl, writeSysctl } from "../lib/kernel/sysctl.ts";
import type { DesiredEndpoint } from "../lib/model/desired.ts";

/** The pods to forward for, and the callback for changes. */
export interface ForwardingOptions {
  /** The pods of this node; those without an interface are another plugin's matter. */
  readonly endpoints: () => Iterable<DesiredEndpoint>;
  readonly logger: Logger;
  readonly clock?: Clock;
}

const KEYS: readonly (readonly [Family, string])[] = [
  [4, "net/ipv4/ip_forward"],
  [6, "net/ipv6/conf/all/forwarding"],
];
const INTERVAL_MS = 1_000;
/** How long a repair is reported (ms). */
const TOLD_MS = 600_000;

/** Watches the forwarding parameters of both families and sets them back to 1. */
export class Forwarding {
  readonly #options: ForwardingOptions;
  readonly #clock: Clock;
  /** How often each parameter was set back, and when last. */
  readonly #putBack = new Map<string, { readonly times: number; readonly atMs: number }>();
  /** The parameters that cannot be written and are in the log already. */
  readonly #stuck = new Set<string>();

  constructor(options: ForwardingOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** One sentence for each parameter that was set back in the last ten minutes. */
  get details(): readonly string[] {
    return [...this.#putBack]
      .filter(([, { atMs }]) => this.#clock.nowMs() - atMs < TOLD_MS)
      .map(([key, { times, atMs }]) =>
        `Another process set ${dotted(key)} to 0, and it was set back to 1: ${times} times, ` +
        `last at ${new Date(atMs).toISOString()}; look in /etc/sysctl.d`
      );
  }

  /** Checks every second until `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const [family, key] of KEYS) this.#look(family, key);
      await this.#clock.sleep(INTERVAL_MS, signal).catch(() => {});
    }
  }

  #look(family: Family, key: string): void {
    const { logger } = this.#options;
    try {
      if (readSysctl(key) !== "0") return void this.#stuck.delete(key);
      if (!this.#isNeeded(family)) return;
      writeSysctl(key, "1");
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (error.code === "ENOENT" || this.#stuck.has(key)) return;
      this.#stuck.add(key);
      logger.warn("forwarding is off; cannot set it", { parameter: dotted(key), error });
      return;
    }
    const times = (this.#putBack.get(key)?.times ?? 0) + 1;
    this.#putBack.set(key, { times, atMs: this.#clock.nowMs() });
    logger.warn("forwarding was off; set to 1 again", { parameter: dotted(key), times });
  }

  #isNeeded(family: Family): boolean {
    for (const { interfaceName, addresses } of this.#options.endpoints()) {
      if (interfaceName === undefined) continue;
      if (addresses.some((it) => it.family === family)) return true;
    }
    return false;
  }
}

function dotted(key: string): string {
  return key.replaceAll("/", ".");
}
