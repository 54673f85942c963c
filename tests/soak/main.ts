/**
 * `deno task soak`: changes and faults by chance for minutes, with every packet's verdict known.
 *
 *   --minutes N   how long [10]
 *   --seed N      repeats a run
 */

import { parseFlags } from "../../lib/base/flags.ts";
import { Chance } from "../support/chance.ts";
import { enterIsolation, isInside, IsolationError, runIsolated } from "../support/isolate.ts";
import { missingProgram } from "../support/program.ts";
import { soak } from "./soak.ts";

const MINUTES = 10;

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

async function outside(args: readonly string[]): Promise<number> {
  const missing = missingProgram(["nft"]);
  if (missing !== undefined) {
    say(`soak: ${missing}`);
    return 1;
  }
  const dist = await Deno.realPath(`${import.meta.dirname}/../..`) + "/dist";
  const build = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../../deploy/build.ts", import.meta.url).href],
    stdin: "null",
  });
  if (!(await build.spawn().status).success) return 1;
  try {
    return await runIsolated(import.meta.url, args, { env: { CALYX_DIST: dist } });
  } catch (error) {
    if (!(error instanceof IsolationError)) throw error;
    say(`soak: ${error.message}: run it as root, or allow user namespaces`);
    return 1;
  }
}

async function inside(args: readonly string[]): Promise<number> {
  const { minutes = MINUTES, seed } = parseOptions(args);
  const chance = new Chance(seed);
  say(`soak: ${minutes} minutes; --seed ${chance.seed} repeats it`);
  try {
    const result = await soak({
      durationMs: minutes * 60_000,
      chance,
      say: (line) => say(`soak: ${line}`),
    });
    say(`soak: ${Object.entries(result).map(([what, count]) => `${count} ${what}`).join(", ")}`);
    say("tests: 1 passed, 0 failed");
    return 0;
  } catch (error) {
    say(`soak: --seed ${chance.seed}: ${Deno.inspect(error)}`);
    say("tests: 0 passed, 1 failed");
    return 1;
  }
}

/** @throws {SyntaxError | RangeError} naming the flag */
function parseOptions(
  args: readonly string[],
): { readonly [name in "minutes" | "seed"]: number | undefined } {
  const flags = parseFlags(args, { string: ["minutes", "seed"] });
  const numberOf = (name: string): number | undefined => {
    const text = flags.get(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!(value > 0)) throw new RangeError(`--${name} is "${text}"; give a number above 0`);
    return value;
  };
  return { minutes: numberOf("minutes"), seed: numberOf("seed") };
}

if (!isInside()) Deno.exit(await outside(Deno.args));
enterIsolation();
Deno.exit(await inside(Deno.args));
