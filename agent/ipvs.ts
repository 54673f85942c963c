/**
 * Whether the kernel balances Services by IPVS, as kube-proxy's mode of that name has it do. IPVS takes
 * a packet for a Service in the input hook and sends it out by the output hook, so that it never passes
 * the forward hook, where policy otherwise is. Its module comes at any time: kube-proxy loads it.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { Logger } from "../lib/base/log.ts";
import { openFile } from "../lib/kernel/descriptor.ts";
import { KernelError } from "../lib/kernel/errno.ts";
import { readSysctl } from "../lib/kernel/sysctl.ts";

/** What there is of it. */
export interface IpvsState {
  readonly isPresent: boolean;
  /**
   * Whether it keeps its packets in connection tracking (`net.ipv4.vs.conntrack`); without, the answers
   * of a Service are flows of their own to policy.
   */
  readonly isTracked: boolean;
}

/** When policy looks at what IPVS sends: where there is IPVS, always, never. */
export type IpvsMode = "auto" | "on" | "off";

/** How often it is looked for. */
const INTERVAL_MS = 1_000;
/** `net/netfilter/ipvs/ip_vs_ctl.c` makes it in every network namespace. */
const TABLE_PATH = "/proc/net/ip_vs";

/** Reads from /proc and /sys whether this kernel has IPVS, and the sysctls that policy needs. */
function readIpvs(): IpvsState {
  try {
    openFile(TABLE_PATH)[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { isPresent: false, isTracked: true };
  }
  try {
    return { isPresent: true, isTracked: readSysctl("net/ipv4/vs/conntrack") !== "0" };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { isPresent: true, isTracked: false };
  }
}

/** Whether policy judges, in the output hook, packets that the node sends on for Services. */
function judgesOutput(mode: IpvsMode, { isPresent }: IpvsState): boolean {
  return mode === "on" || (mode === "auto" && isPresent);
}

/** Sentences for `/readyz` and the log about what policy cannot judge; empty if all is well. */
function ipvsDetails(
  mode: IpvsMode,
  { isPresent, isTracked }: IpvsState,
): readonly string[] {
  if (!isPresent) return [];
  if (mode === "off") {
    return ["IPVS is in use and --ipvs is off: what pods reach through Services passes by policy"];
  }
  return isTracked ? [] : [
    "net.ipv4.vs.conntrack is 0: policy takes the answers of Services for new flows; set it to 1, " +
    "as kube-proxy does",
  ];
}

/** Follows what there is, until `signal` aborts. */
export class IpvsWatch {
  #state: IpvsState = readIpvs();
  readonly #mode: IpvsMode;
  readonly #logger: Logger;
  readonly #clock: Clock;

  constructor(
    options: { readonly mode: IpvsMode; readonly logger: Logger; readonly clock?: Clock },
  ) {
    this.#mode = options.mode;
    this.#logger = options.logger;
    this.#clock = options.clock ?? systemClock;
    this.#report();
  }

  /** Whether the kernel has IPVS now. */
  get isPresent(): boolean {
    return this.#state.isPresent;
  }

  get judgesOutput(): boolean {
    return judgesOutput(this.#mode, this.#state);
  }

  get details(): readonly string[] {
    return ipvsDetails(this.#mode, this.#state);
  }

  /** @param onChange called when `judgesOutput` has changed */
  async start(onChange: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(INTERVAL_MS, signal).catch(() => {});
      const state = readIpvs();
      const before = this.#state;
      if (state.isPresent === before.isPresent && state.isTracked === before.isTracked) continue;
      const judged = this.judgesOutput;
      this.#state = state;
      this.#report();
      if (this.judgesOutput !== judged) onChange();
    }
  }

  #report(): void {
    if (this.#state.isPresent) {
      this.#logger.info("IPVS found", { judgesOutput: this.judgesOutput, ...this.#state });
    }
    for (const detail of this.details) this.#logger.warn("IPVS bypasses policy", { detail });
  }
}
