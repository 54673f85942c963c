/**
 * A loop at its own pace, under enforcement (`loop.ts`) and the cut of flows (`flow_cut.ts`):
 *
 *   kick() ──▶ dirty ──▶ work ──▶ rest ──▶ … and sleep until the next kick, or until it is due
 *                ▲         │ fails
 *                └─ back-off
 *
 * Many kicks before a round become one round; a kick during a round is worked off by the next one. What
 * fails stays dirty and is tried again, later each time. Facts that wait for turns of their own go in one
 * by one, and what else changes meanwhile goes between two of them. It knows nothing of what the work is.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import { backoffDelayMs, type BackoffOptions } from "../lib/base/retry.ts";

/** What a loop does. */
export interface PacedLoopOptions {
  /**
   * One round. It calls `settle()` before it reads what has changed. What it throws is tried again.
   *
   * @returns how long the loop rests before the next round, in milliseconds
   */
  readonly work: (signal: AbortSignal) => Promise<number>;
  /** A round failed, for the `failures`th time in a row; the next one comes after `delayMs`. */
  readonly onFailure: (error: unknown, next: { delayMs: number; failures: number }) => void;
  readonly retry: BackoffOptions;
  /**
   * After a round: takes one of the facts that wait for turns of their own.
   *
   * @returns whether there is something to work off
   */
  readonly takeTurn?: () => boolean;
  readonly clock?: Clock;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
}

/** Works from `start()` on until its signal aborts. */
export class PacedLoop {
  /** When a round is due although nothing kicked it, by the clock; Infinity: never. */
  dueAtMs = Infinity;
  readonly #options: PacedLoopOptions;
  readonly #clock: Clock;
  #isDirty = true;
  /** Whether the last round was for a fact that had waited for its turn. */
  #isTurn = false;
  #wake = Promise.withResolvers<void>();

  constructor(options: PacedLoopOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Something changed: work soon. */
  kick(): void {
    this.#isDirty = true;
    this.#wake.resolve();
  }

  /** Whether something changed that no round has begun to work off. */
  get isDirty(): boolean {
    return this.#isDirty;
  }

  /** What has changed up to now is about to be worked off; later kicks are for a later round. */
  settle(): void {
    this.#isDirty = false;
    this.#wake = Promise.withResolvers();
  }

  /** Whether `dueAtMs` has come. */
  get isDue(): boolean {
    return this.#clock.nowMs() >= this.dueAtMs;
  }

  /** A round is due `intervalMs` from now; 0: none is. */
  repeatAfter(intervalMs: number): void {
    this.dueAtMs = intervalMs > 0 ? this.#clock.nowMs() + intervalMs : Infinity;
  }

  /** Works at once, and then when it is kicked or due, until `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    const { work, onFailure, retry, random = Math.random } = this.#options;
    const abort = (): void => this.#wake.resolve();
    signal.addEventListener("abort", abort, { once: true });
    let failures = 0;
    while (!signal.aborted) {
      if (!this.#isDirty) await this.#sleepUntil(this.dueAtMs, signal);
      if (signal.aborted) break;
      let pauseMs: number;
      try {
        pauseMs = await work(signal);
        failures = 0;
        this.#takeTurn();
      } catch (error) {
        this.#isDirty = true;
        pauseMs = backoffDelayMs(failures++, retry, random());
        onFailure(error, { delayMs: pauseMs, failures });
      }
      await this.#clock.sleep(pauseMs, signal).catch(() => {});
    }
  }

  /** What came meanwhile does not wait for a second one of those that take turns. */
  #takeTurn(): void {
    const mayTake = !(this.#isTurn && this.#isDirty);
    this.#isTurn = mayTake && this.#options.takeTurn?.() === true;
    if (this.#isTurn) this.kick();
  }

  /** Until a kick, `untilMs` by the clock, or until `signal` aborts. */
  async #sleepUntil(untilMs: number, signal: AbortSignal): Promise<void> {
    if (untilMs === Infinity) return await this.#wake.promise;
    const cancel = new AbortController();
    const timer = this.#clock
      .sleep(Math.max(0, untilMs - this.#clock.nowMs()), AbortSignal.any([signal, cancel.signal]))
      .catch(() => {});
    await Promise.race([this.#wake.promise, timer]);
    cancel.abort();
  }
}
