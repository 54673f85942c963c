/**
 * How old what is enforced may be: since when the API server has said nothing of a kind. It ends no
 * enforcement, and by itself not readiness: the rules in the kernel hold as they are. Pure.
 */

import type { Facts, KindState } from "./facts.ts";

/**
 * Watches bring at least one bookmark a minute; a longer silence is reported, and a shorter one after a
 * failed request.
 */
const SILENCE_MS_MAX = 150_000;

/** Whether the objects of a kind may be out of date. */
export function isStale({ state, isInSync, heardAtMs }: KindState, nowMs: number): boolean {
  return isInSync && state !== "absent" &&
    (state === "failed" || nowMs - heardAtMs > SILENCE_MS_MAX);
}

/** Seconds since the last answer or event of the API server for a kind; `undefined`: none yet. */
export function ageSeconds({ heardAtMs }: KindState, nowMs: number): number | undefined {
  return heardAtMs === 0 ? undefined : Math.max(0, Math.round((nowMs - heardAtMs) / 1_000));
}

/** One sentence for each kind whose objects may be out of date. */
export function formatStale({ states }: Pick<Facts, "states">, nowMs: number): readonly string[] {
  return Object.entries(states).filter(([, it]) => isStale(it, nowMs)).map(([kind, state]) => {
    const since = formatDuration(ageSeconds(state, nowMs) ?? 0);
    return `What is enforced of ${kind} may be out of date: the API server was last heard ${since} ago` +
      (state.detail === undefined ? "" : `: ${state.detail}`);
  });
}

/** The longest time without news among the kinds that may be out of date (ms); 0: none is. */
export function staleMs({ states }: Pick<Facts, "states">, nowMs: number): number {
  const ages = Object.values(states).filter((it) => isStale(it, nowMs))
    .map((it) => nowMs - it.heardAtMs);
  return Math.max(0, ...ages);
}

/** `45 s`, `12 min`, `3 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3_600)} h`;
}
