/**
 * The loop: coalesce → flush → compile → apply, at its own pace. Facts only kick it. What failed stays
 * dirty and is tried again; now and then everything is compared with the kernel anew.
 *
 * No kernel write happens before `start()`: that is when every watch is in sync and this machine's Node
 * is known, or when something has to stand in for policy.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { LogFields, Logger } from "../lib/base/log.ts";
import { backoffDelayMs } from "../lib/base/retry.ts";
import { Turns } from "../lib/base/turns.ts";
import { type CompileOptions, Compiler } from "../lib/dataplane/compile/compile.ts";
import type { Ruleset } from "../lib/dataplane/ruleset.ts";
import type { Desired } from "../lib/model/desired.ts";
import type { Applied } from "../lib/dataplane/apply.ts";
import { explainRefusal } from "./kernel_need.ts";

/** What the loop drives. */
export interface LoopOptions {
  readonly flush: () => Desired;
  readonly dataplane: {
    apply(ruleset: Ruleset): Promise<Applied>;
    /** What is in the kernel is no longer known: the next apply reads it first. */
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

/** At least this much time lies between two flushes, so that a storm of facts becomes few batches. */
const FLUSH_INTERVAL_MS_MIN = 5;
const RETRY = { delayMsMin: 100, delayMsMax: 10_000 };

/** Runs until its signal aborts; the kernel keeps what was applied last. */
export class EnforcementLoop {
  readonly counts: LoopCounts = { applied: 0, failed: 0, durationMs: 0, appliedAtMs: 0 };
  readonly #options: LoopOptions;
  readonly #clock: Clock;
  #isDirty = true;
  /** Whether the last flush was for a fact that had waited for its turn. */
  #isTurn = false;
  #epoch = 0;
  #failingSinceMs: number | undefined;
  #enforcedEpoch = 0;
  #wake = Promise.withResolvers<void>();
  #compiler: Compiler | undefined;
  #compiled:
    | { readonly desired: Desired; readonly options: CompileOptions; readonly ruleset: Ruleset }
    | undefined;
  #enforced: Desired | undefined;
  /** Interfaces that several pods claimed at the last apply, as text. */
  #conflicts = "";
  #waiters = new Set<() => void>();

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Something changed: flush soon.
   *
   * @returns the epoch that `enforcedEpoch` reaches when the kernel has it
   */
  kick(): number {
    this.#isDirty = true;
    this.#wake.resolve();
    return ++this.#epoch;
  }

  /** What the kernel enforces now; `undefined` before the first apply. */
  get enforced(): Desired | undefined {
    return this.#enforced;
  }

  /** The last kick whose facts are in the kernel. */
  get enforcedEpoch(): number {
    return this.#enforcedEpoch;
  }

  /** Since when every attempt has failed, in milliseconds since the epoch. */
  get failingSinceMs(): number | undefined {
    return this.#failingSinceMs;
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
    while (this.#enforcedEpoch < epoch && !signal.aborted) await this.nextApply(signal);
  }

  /** Enforces until `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    const { resyncIntervalMs, logger, dataplane, random = Math.random } = this.#options;
    const abort = (): void => this.#wake.resolve();
    signal.addEventListener("abort", abort, { once: true });
    let failures = 0;
    let resyncAtMs = this.#clock.nowMs() + resyncIntervalMs;
    while (!signal.aborted) {
      if (!this.#isDirty) await this.#sleep(resyncIntervalMs > 0 ? resyncAtMs : undefined, signal);
      if (signal.aborted) break;
      if (resyncIntervalMs > 0 && this.#clock.nowMs() >= resyncAtMs) {
        dataplane.doubt();
        resyncAtMs = this.#clock.nowMs() + resyncIntervalMs;
      }
      try {
        await this.#applyOnce();
        failures = 0;
        this.#failingSinceMs = undefined;
        this.#takeTurn();
        await this.#clock.sleep(FLUSH_INTERVAL_MS_MIN, signal).catch(() => {});
      } catch (error) {
        this.counts.failed++;
        this.#failingSinceMs ??= this.#clock.nowMs();
        this.#isDirty = true;
        dataplane.invalidate();
        const delayMs = backoffDelayMs(failures++, RETRY, random());
        const reason = explainRefusal(error);
        logger.error("ruleset not applied; trying again", { error, reason, delayMs, failures });
        await this.#clock.sleep(delayMs, signal).catch(() => {});
      }
    }
  }

  async #applyOnce(): Promise<void> {
    const { flush, dataplane, compileOptions, concerns, logger } = this.#options;
    this.#isDirty = false;
    this.#wake = Promise.withResolvers();
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
    this.#enforced = desired;
    this.#enforcedEpoch = epoch;
    this.counts.applied++;
    this.counts.durationMs = performance.now() - startMs;
    this.counts.appliedAtMs = this.#clock.nowMs();
    if (applied.requests > 0) {
      logger.info("ruleset applied", {
        ...applied,
        ...because,
        endpoints: desired.endpoints.size,
        policies: desired.policies.size,
        durationMs: Number(this.counts.durationMs.toFixed(2)),
      });
    }
    this.#reportConflicts(desired);
    for (const waiter of [...this.#waiters]) waiter();
    if (applied.requests > 0) this.#options.onChanged?.();
  }

  /** What came meanwhile does not wait for a second one of those that take turns. */
  #takeTurn(): void {
    const { takeTurn } = this.#options;
    const mayTake = !(this.#isTurn && this.#isDirty);
    this.#isTurn = mayTake && takeTurn?.() === true;
    if (this.#isTurn) this.kick();
  }

  /** One event whenever they change, not with each apply. */
  #reportConflicts({ conflicts }: Desired): void {
    const text = formatConflicts(conflicts).join("; ");
    if (text === this.#conflicts) return;
    this.#conflicts = text;
    if (text === "") this.#options.logger.info("no interface is claimed by several pods any more");
    else this.#options.logger.error("interface claimed by several pods", { conflicts: text });
  }

  /** Until somebody kicks, `untilMs` has come, or `signal` aborts. */
  async #sleep(untilMs: number | undefined, signal: AbortSignal): Promise<void> {
    if (untilMs === undefined) return await this.#wake.promise;
    const cancel = new AbortController();
    const timer = this.#clock
      .sleep(Math.max(0, untilMs - this.#clock.nowMs()), AbortSignal.any([signal, cancel.signal]))
      .catch(() => {});
    await Promise.race([this.#wake.promise, timer]);
    cancel.abort();
  }
}

/** Interfaces that several pods claim, one sentence each. */
export function formatConflicts(conflicts: Desired["conflicts"]): readonly string[] {
  return [...conflicts].sort().map(([name, pods]) =>
    `Interface ${name} is claimed by ${pods.join(" and ")}: open for one of them at most`
  );
}
