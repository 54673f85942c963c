/**
 * Enforcement: coalesce → flush → compile → apply, at the pace of `paced_loop.ts`. Facts only kick it.
 * What failed is tried again; at each resync everything is compared with the kernel.
 *
 * No kernel write happens before `start()`: that is when every watch is in sync and this machine's Node
 * is known, or when something has to stand in for policy.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { LogFields, Logger } from "../lib/base/log.ts";
import { Turns } from "../lib/base/turns.ts";
import { type CompileOptions, Compiler } from "../lib/dataplane/compile/compile.ts";
import type { Ruleset } from "../lib/dataplane/ruleset.ts";
import type { Desired } from "../lib/model/desired.ts";
import type { Applied } from "../lib/dataplane/apply.ts";
import { explainRefusal } from "./kernel_need.ts";
import { PacedLoop } from "./paced_loop.ts";

/** The parts that the loop drives. */
export interface LoopOptions {
  readonly flush: () => Desired;
  readonly dataplane: {
    apply(ruleset: Ruleset): Promise<Applied>;
    /** Call when the kernel's state is unknown: the next apply reads it first. */
    invalidate(): void;
    /** The next apply compares with the kernel what another process can have changed. */
    doubt(): void;
  };
  /** The same object as long as it says the same: another one compiles everything again. */
  readonly compileOptions: () => CompileOptions;
  readonly resyncIntervalMs: number;
  /**
   * Takes one of the facts that wait for turns of their own. @returns whether there is something to flush
   */
  readonly takeTurn?: () => boolean;
  /** What the log says of why the ruleset changed: taken with each flush, forgotten when it is applied. */
  readonly concerns?: { take(): LogFields; forget(): void };
  /** Where it says what it has done. @default {its own} */
  readonly state?: EnforcementState;
  /** After an apply that changed something, when everybody who waits for it has been told. */
  readonly onChanged?: () => void;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
}

/** What the loop has done so far. */
export interface LoopCounts {
  applied: number;
  failed: number;
  /** Of the last apply. */
  durationMs: number;
  /** Milliseconds since the epoch; 0 = never. */
  appliedAtMs: number;
}

/** What the kernel has; written by the loop alone. */
export interface EnforcementState {
  readonly counts: LoopCounts;
  /** What the kernel enforces now; `undefined` before the first apply. */
  enforced: Desired | undefined;
  /** The last kick whose facts are in the kernel. */
  enforcedEpoch: number;
  /** Since when every attempt has failed, in milliseconds since the epoch. */
  failingSinceMs: number | undefined;
}

/** The state before the first apply. */
export function newEnforcementState(): EnforcementState {
  return {
    counts: { applied: 0, failed: 0, durationMs: 0, appliedAtMs: 0 },
    enforced: undefined,
    enforcedEpoch: 0,
    failingSinceMs: undefined,
  };
}

/** At least this much time lies between two flushes, so that a storm of facts becomes few batches. */
const FLUSH_INTERVAL_MS_MIN = 5;
const RETRY = { delayMsMin: 100, delayMsMax: 10_000 };

/** Runs until its signal aborts; the kernel keeps what was applied last. */
export class EnforcementLoop {
  readonly #options: LoopOptions;
  readonly #state: EnforcementState;
  readonly #clock: Clock;
  #compiler: Compiler | undefined;
  readonly #paced: PacedLoop;
  #epoch = 0;
  #compiled:
    | { readonly desired: Desired; readonly options: CompileOptions; readonly ruleset: Ruleset }
    | undefined;
  /** Interfaces that several pods claimed at the last apply, as text. */
  #conflicts = "";
  #waiters = new Set<() => void>();

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#state = options.state ?? newEnforcementState();
    this.#clock = options.clock ?? systemClock;
    this.#paced = new PacedLoop({
      ...options,
      work: () => this.#round(),
      onFailure: (error, next) => this.#onFailure(error, next),
      retry: RETRY,
    });
  }

  /**
   * Something changed: flush soon.
   *
   * @returns the epoch that `enforcedEpoch` reaches when the kernel has it
   */
  kick(): number {
    this.#paced.kick();
    return ++this.#epoch;
  }

  get counts(): Readonly<LoopCounts> {
    return this.#state.counts;
  }

  get enforced(): Desired | undefined {
    return this.#state.enforced;
  }

  get enforcedEpoch(): number {
    return this.#state.enforcedEpoch;
  }

  get failingSinceMs(): number | undefined {
    return this.#state.failingSinceMs;
  }

  /** Resolves after the next successful apply, or when `signal` aborts. */
  nextApply(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiters.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      if (signal.aborted) return resolve();
      this.#waiters.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  /** Resolves when the kernel has the facts of this kick, or when `signal` aborts. */
  async reaches(epoch: number, signal: AbortSignal): Promise<void> {
    while (this.#state.enforcedEpoch < epoch && !signal.aborted) await this.nextApply(signal);
  }

  /** Enforces until `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    this.#paced.repeatAfter(this.#options.resyncIntervalMs);
    await this.#paced.start(signal);
  }

  async #round(): Promise<number> {
    const { resyncIntervalMs, dataplane } = this.#options;
    if (this.#paced.isDue) {
      dataplane.doubt();
      this.#paced.repeatAfter(resyncIntervalMs);
    }
    await this.#applyOnce();
    this.#state.failingSinceMs = undefined;
    return FLUSH_INTERVAL_MS_MIN;
  }

  #onFailure(error: unknown, next: { readonly delayMs: number; readonly failures: number }): void {
    const { dataplane, logger } = this.#options;
    this.#state.counts.failed++;
    this.#state.failingSinceMs ??= this.#clock.nowMs();
    dataplane.invalidate();
    const reason = explainRefusal(error);
    logger.error("ruleset not applied; trying again", { error, reason, ...next });
  }

  async #applyOnce(): Promise<void> {
    const { flush, dataplane, compileOptions, concerns, logger } = this.#options;
    this.#paced.settle();
    const epoch = this.#epoch;
    const startMs = performance.now();
    const turns = new Turns();
    const desired = flush();
    const because = concerns?.take();
    const options = compileOptions();
    await turns.pass();
    if (this.#compiled?.desired !== desired || this.#compiled.options !== options) {
      if (this.#compiler?.choices !== options) this.#compiler = new Compiler(options);
      const compiler = this.#compiler;
      this.#compiler = undefined; // until it is through
      this.#compiled = { desired, options, ruleset: compiler.compile(desired) };
      this.#compiler = compiler;
      await turns.pass();
    }
    const applied = await dataplane.apply(this.#compiled.ruleset);
    concerns?.forget();
    const { counts } = this.#state;
    this.#state.enforced = desired;
    this.#state.enforcedEpoch = epoch;
    counts.applied++;
    counts.durationMs = performance.now() - startMs;
    counts.appliedAtMs = this.#clock.nowMs();
    if (applied.requests > 0) {
      logger.info("ruleset applied", {
        ...applied,
        ...because,
        endpoints: desired.endpoints.size,
        policies: desired.policies.size,
        durationMs: Number(counts.durationMs.toFixed(2)),
      });
    }
    this.#reportConflicts(desired);
    for (const waiter of [...this.#waiters]) waiter();
    if (applied.requests > 0) this.#options.onChanged?.();
  }

  /** One event whenever they change, not with each apply. */
  #reportConflicts({ conflicts }: Desired): void {
    const text = formatConflicts(conflicts).join("; ");
    if (text === this.#conflicts) return;
    this.#conflicts = text;
    if (text === "") this.#options.logger.info("interface conflicts resolved");
    else this.#options.logger.error("interface claimed by several pods", { conflicts: text });
  }
}

/** Interfaces that several pods claim, one sentence each. */
export function formatConflicts(conflicts: Desired["conflicts"]): readonly string[] {
  return [...conflicts].sort().map(([name, pods]) =>
    `Interface ${name} is claimed by ${pods.join(" and ")}: open for one of them at most`
  );
}
