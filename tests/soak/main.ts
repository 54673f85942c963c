/**
 * `deno task soak`: changes and faults by chance for minutes, with every packet's verdict known.
 */

import { messageOf } from "../../lib/base/error.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import { flagSpecOf, readValues } from "../../lib/settings/read.ts";
import type { ValuesOf } from "../../lib/settings/setting.ts";
import { Chance } from "../support/chance.ts";
import {
  enterIsolation,
  isInside,
  IsolationError,
  runIsolated,
} from "../support/isolation/isolate.ts";
import { missingProgram } from "../support/program/program.ts";
import { FLAGS, HELP } from "./flags.ts";
import { soak } from "./soak.ts";

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

async function outside(args: readonly string[]): Promise<number> {
  try {
    if (parseOptions(args).help) {
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
  const { minutes, seed } = parseOptions(args);
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

/** @throws {SyntaxError | RangeError} naming the flag */
function parseOptions(args: readonly string[]): ValuesOf<typeof FLAGS> {
  return readValues(FLAGS, parseFlags(args, flagSpecOf(FLAGS)));
}

if (!isInside()) Deno.exit(await outside(Deno.args));
enterIsolation();
Deno.exit(await inside(Deno.args));
