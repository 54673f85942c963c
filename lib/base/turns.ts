/** Lets long work yield: every few milliseconds the event loop gets one turn. */

/** How long work may hold the event loop before it gives way, in milliseconds. */
const HELD_MS_MAX = 10;

/** Counts how long the work has held the event loop. */
export class Turns {
  #sinceMs = performance.now();

  /** Call between two steps of the work: yields to the event loop if it is time. */
  async pass(): Promise<void> {
    if (performance.now() - this.#sinceMs < HELD_MS_MAX) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#sinceMs = performance.now();
  }
}
