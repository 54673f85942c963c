/** Durations on the command line: `500ms`, `30s`, `2m`, or a plain number of seconds. */

import type { ValueType } from "../lib/settings/value_type.ts";

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** The longest that a timer takes. */
const DURATION_MS_MAX = 2 ** 31 - 1;

/**
 * Parses a duration to milliseconds.
 *
 * @throws {SyntaxError} if `text` is none
 */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim());
  const durationMs = Number(match?.[1]) * (UNITS_MS[match?.[2] ?? "s"] ?? NaN);
  if (!(durationMs <= DURATION_MS_MAX)) {
    throw new SyntaxError(`Cannot parse duration "${text}": write 30s, 2m or 500ms`);
  }
  return durationMs;
}

/** Milliseconds as a duration, in the largest unit that needs no fraction. */
export function formatDuration(durationMs: number): string {
  const units = Object.entries(UNITS_MS).reverse();
  const [unit, unitMs] = units.find(([, it]) => durationMs % it === 0) ?? ["ms", 1];
  return durationMs === 0 ? "0" : `${durationMs / unitMs}${unit}`;
}

/** A setting's value: a duration, milliseconds inside. */
export const duration: ValueType<number> = {
  placeholder: "TIME",
  parse: parseDuration,
  format: formatDuration,
};
