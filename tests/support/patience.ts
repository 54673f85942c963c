/**
 * How long tests wait for what may be slow: as they say, times `CALYX_PATIENCE` where the machine is
 * slow altogether, as one in emulation is. Not for what a test measures: none does.
 */

const factor = Number(Deno.env.get("CALYX_PATIENCE") ?? "1");
if (!(factor >= 1)) throw new RangeError(`CALYX_PATIENCE is a number from 1 on, not "${factor}"`);

/** `durationMs`, or more of it where the machine is slow. */
export function patient(durationMs: number): number {
  return durationMs * factor;
}
