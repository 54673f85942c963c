/**
 * How long an answer may take before it counts as none. Time that this process does not get does not
 * count: the wait consists of so many rounds, and between two of them the event loop turns, so that
 * servers of this process answer what has come. On a busy machine each round takes longer, and so does
 * what is waited for.
 */

const ROUNDS = 10;

/** The time of one wait, from its construction on. */
export class AnswerTime {
  readonly #roundMs: number;
  #rounds = ROUNDS;
  #endMs: number;

  /** @param timeoutMs on a machine with nothing else to do */
  constructor(timeoutMs: number) {
    this.#roundMs = timeoutMs / ROUNDS;
    this.#endMs = performance.now() + this.#roundMs;
  }

  /** How long the next poll may wait, in whole milliseconds; `undefined` when the time is over. */
  next(): number | undefined {
    const nowMs = performance.now();
    if (nowMs >= this.#endMs) {
      if (--this.#rounds === 0) return undefined;
      this.#endMs = nowMs + this.#roundMs;
    }
    return Math.ceil(this.#endMs - nowMs);
  }
}
