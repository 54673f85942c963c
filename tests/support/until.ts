/**
 * How tests wait. A wait ends by the fact; its bound is there so that a fact that never comes fails the
 * test that waits for it, and does not hold the suite for ever. No bound here says how fast a thing is:
 * on a machine with ten busy processes per core, what else takes a second may take a minute.
 *
 * `sleep()` is for what must not happen: nothing else tells when that has been awaited long enough.
 */

/** How long a fact may take to come. */
export const PATIENCE_MS = 180_000;

const INTERVAL_MS = 10;

/** Resolves after `durationMs`. */
export function sleep(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}

/**
 * Waits until `done` says so; it is asked every few milliseconds.
 *
 * @param what is waited for, for the message
 * @param details what else the message should say: a log, the last value
 * @throws {Error} if it does not come in {@link PATIENCE_MS}
 */
export async function until(
  what: string,
  done: () => boolean | Promise<boolean>,
  details: () => string = () => "",
): Promise<void> {
  const endMs = performance.now() + PATIENCE_MS;
  while (!await done()) {
    if (performance.now() > endMs) {
      throw new Error(`${what}: not so after ${PATIENCE_MS / 1000} s; ${details()}`);
    }
    await sleep(INTERVAL_MS);
  }
}

/**
 * Waits through `count` timers of `timerMs` in a row: whatever this process brings about by itself in as
 * many shorter ones has then happened, however slow the machine is.
 */
export async function turns(count: number, timerMs: number): Promise<void> {
  for (let i = 0; i < count; i++) await sleep(timerMs);
}
