/** Long work that lets the event loop go on: every few milliseconds it gives way for one turn. */

/** How long work may hold the event loop before it gives way, in milliseconds. */
const HELD_MS_MAX = 10;

/** Counts how long the work has held the event loop. */
export class Turns {
  #sinceMs = performance.now();

  /** Between two steps of the work: gives way if it is time. */
  async pass(): Promise<void> {
    if (performance.now() - this.#sinceMs < HELD_MS_MAX) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#sinceMs = performance.now();
  }
}
