/** The seed of random tests: another one every time, said aloud, and given again to repeat a run. */

/** Says and returns the seed for `what`: that of `CALYX_SEED`, or one of this moment. */
export function announceSeed(what: string): number {
  const given = Deno.env.get("CALYX_SEED");
  const seed = given === undefined ? Date.now() % 0x7fffffff : Number(given);
  Deno.stderr.writeSync(new TextEncoder().encode(`${what}: CALYX_SEED=${seed}\n`));
  return seed;
}
