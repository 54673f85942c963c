/** Repeated measurements of one thing, and what is said of them: quantiles, never a mean. */

/** Measurements in the order in which they were made; all of one unit. */
export class Sample {
  readonly #values: number[] = [];

  constructor(values: Iterable<number> = []) {
    for (const value of values) this.add(value);
  }

  add(value: number): void {
    this.#values.push(value);
  }

  get size(): number {
    return this.#values.length;
  }

  get median(): number {
    return this.quantile(0.5);
  }

  get p90(): number {
    return this.quantile(0.9);
  }

  get p99(): number {
    return this.quantile(0.99);
  }

  get max(): number {
    return this.quantile(1);
  }

  /** The least value that `fraction` of all are not above (nearest rank); NaN when there is none. */
  quantile(fraction: number): number {
    const sorted = this.#values.toSorted((a, b) => a - b);
    const rank = Math.max(1, Math.ceil(fraction * sorted.length));
    return sorted[rank - 1] ?? NaN;
  }
}

/** Runs `f` and returns how long it took, in milliseconds. */
export function time(f: () => unknown): number {
  const startMs = performance.now();
  f();
  return performance.now() - startMs;
}
