/** A map whose entries several holders share, and which records the keys that changed. */

/** An entry exists as long as one holder has taken it and not released it. */
export class HeldMap<V> {
  readonly #values = new Map<string, V>();
  readonly #counts = new Map<string, number>();
  #changed = new Set<string>();

  /** The entries that are held: the same map as long as this one lives. */
  get values(): ReadonlyMap<string, V> {
    return this.#values;
  }

  /** Takes an entry. All holders of a key must give equal values: the last one is kept. */
  take(key: string, value: V): void {
    if (this.#values.get(key) !== value) {
      this.#values.set(key, value);
      this.#changed.add(key);
    }
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** Releases an entry that was taken. */
  release(key: string): void {
    const count = (this.#counts.get(key) ?? 0) - 1;
    if (count > 0) {
      this.#counts.set(key, count);
      return;
    }
    this.#counts.delete(key);
    if (this.#values.delete(key)) this.#changed.add(key);
  }

  /** The keys whose entries were added, changed or deleted since the last call; some may be unchanged. */
  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }
}
