/**
 * `deno task soak`: changes and faults by chance for minutes, with every packet's verdict known.
 *
 * See HELP.
 */

import { messageOf } from "../../lib/base/error.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import { Chance } from "../support/chance.ts";
import {
  enterIsolation,
  isInside,
  IsolationError,
  runIsolated,
} from "../support/isolation/isolate.ts";
import { missingProgram } from "../support/program/program.ts";
import { soak } from "./soak.ts";

const MINUTES = 10;

const HELP =
  `deno task soak [flags]: change and break things by chance, with every packet's verdict known.

  --minutes N   how long [${MINUTES}]
  --seed N      repeats a run
  --help        print this
`;

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

async function outside(args: readonly string[]): Promise<number> {
  try {
    if (parseOptions(args).isHelp) {
      say(HELP);
      return 0;
    }
  } catch (error) {
    say(`soak: ${messageOf(error)}\n\n${HELP}`);
    return 2;
  }
  const missing = missingProgram(["nft"]);
  if (missing !== undefined) {
    say(`soak: ${missing}`);
    return 1;
  }
  const dist = await Deno.realPath(`${import.meta.dirname}/../..`) + "/dist";
  const build = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../../deploy/build/build.ts", import.meta.url).href],
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
    say(
      `soak: ${
        Object.entries(result).map(([what, count]) => `${count} ${what}`).join(", ")
      }, none leaked or lost`,
    );
    say("tests: 1 passed, 0 failed");
    return 0;
  } catch (error) {
    say(`soak: --seed ${chance.seed}: ${Deno.inspect(error)}`);
    say("tests: 0 passed, 1 failed");
    return 1;
  }
}

interface Options {
  readonly minutes: number | undefined;
  readonly seed: number | undefined;
  readonly isHelp: boolean;
}

/** @throws {SyntaxError | RangeError} naming the flag */
function parseOptions(args: readonly string[]): Options {
  const flags = parseFlags(args, { boolean: ["help"], string: ["minutes", "seed"] });
  const numberOf = (name: string): number | undefined => {
    const text = flags.get(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!(value > 0)) throw new RangeError(`--${name} is "${text}"; give a number above 0`);
    return value;
  };
  return { minutes: numberOf("minutes"), seed: numberOf("seed"), isHelp: flags.has("help") };
}

if (!isInside()) Deno.exit(await outside(Deno.args));
enterIsolation();
Deno.exit(await inside(Deno.args));
