/** Waiting between attempts: exponential with full jitter, bounded on both sides. */

/** Bounds of the wait between attempts, in milliseconds. */
export interface BackoffOptions {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
}

/**
 * The wait before attempt number `attempt` (0 = the first retry): a random part of
 * `delayMsMin × 2^attempt`, at least `delayMsMin / 2`, at most `delayMsMax`.
 *
 * @param random a number in [0, 1): chance is an argument
 */
export function backoffDelayMs(attempt: number, options: BackoffOptions, random: number): number {
  const { delayMsMin, delayMsMax } = options;
  const ceiling = Math.min(delayMsMax, delayMsMin * 2 ** Math.min(attempt, 30));
  const floor = delayMsMin / 2;
  return floor + (ceiling - floor) * random;
}
