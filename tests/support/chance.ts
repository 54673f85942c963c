/** Chance with a seed, so that a test which failed by it can be run again: xorshift32. */

/** A random number generator. `CALYX_SEED` in the environment sets its seed, and so repeats a run. */
export class Chance {
  readonly seed: number;
  #state: number;

  constructor(seed: number = Number(Deno.env.get("CALYX_SEED") ?? 0)) {
    const [random = 1] = crypto.getRandomValues(new Uint32Array(1));
    this.seed = (seed || random) >>> 0;
    this.#state = this.seed || 1;
  }

  /** A whole number from 0, less than `limit`. */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  /** One of `items`; `undefined` if there are none. */
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(Math.max(1, items.length))];
  }
}
