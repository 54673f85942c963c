/**
 * `deno task conformance`: case files against the evaluator and against real packets. Packets travel
 * in namespaces of their own, through the compiled agent, which is built where it is not up to date.
 *
 * Exit code 1 when a cell is wrong, 2 when a file or a flag is not understood.
 */

import { resolve } from "node:path";
import { messageOf } from "../../lib/base/error.ts";
import { FAMILIES, type Family } from "../../lib/ip/address.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import {
  enterIsolation,
  isInside,
  IsolationError,
  runIsolated,
} from "../support/isolation/isolate.ts";
import type { ConformanceCase } from "./case.ts";
import { evaluateCase } from "./evaluator_run.ts";
import { CASE_FILES, readCases } from "./load.ts";
import { formatOutcome, formatTallies, type Outcome, Tally } from "./outcome.ts";
import { runPackets } from "./packet_run.ts";

const HELP = `deno task conformance [flags] [FILE…]: policies and the verdicts they must have.

  --cases FILE   a case file, as the words are (default: those of tests/conformance/cases)
  --evaluator    only what the evaluator says
  --packets      only what becomes of real packets
  --family 4|6   only over this family; IPv6 mirrors what the cases say of IPv4
  --help         print this

The last line is "cells: N right, N wrong, N skipped"; exit 1 when one is wrong.
`;

/** What the command line asks for. */
interface Request {
  readonly files: readonly string[];
  readonly evaluator: boolean;
  readonly packets: boolean;
  readonly families: readonly Family[];
}

async function main(args: readonly string[]): Promise<number> {
  let request: Request;
  let cases: readonly ConformanceCase[];
  try {
    if (args.includes("--help")) return print(HELP);
    request = parseRequest(args);
    cases = (await Promise.all(request.files.map(readCases))).flat();
  } catch (error) {
    return fail(messageOf(error));
  }
  if (request.packets && !isInside()) {
    if (!await build()) return fail("The build failed, see above; --evaluator does without");
    try {
      return await runIsolated(import.meta.url, args);
    } catch (error) {
      if (!(error instanceof IsolationError)) throw error;
      return fail(`${error.message}; --evaluator does without`);
    }
  }
  const tallies: Tally[] = [];
  if (request.evaluator) {
    tallies.push(
      await tally("evaluator", (add) => {
        for (const it of cases) evaluateCase(it, request.families).forEach(add);
      }),
    );
  }
  if (request.packets) {
    enterIsolation();
    tallies.push(await tally("packets", (add) => runPackets(cases, request.families, add)));
  }
  print(`${formatTallies(tallies)}\n`);
  return tallies.every((it) => it.wrong.length === 0) ? 0 : 1;
}

/** Builds the agent, unless the caller says where one is. */
async function build(): Promise<boolean> {
  if (Deno.env.has("CALYX_DIST")) return true;
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      new URL("../../deploy/build/build.ts", import.meta.url).href,
      "calyx-agent",
    ],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  return success;
}

/** @throws {SyntaxError} naming the flag */
function parseRequest(args: readonly string[]): Request {
  const flags = parseFlags(args, {
    boolean: ["evaluator", "packets", "help"],
    string: ["cases", "family"],
    collect: ["cases"],
  });
  // `--cases a b` names two files.
  const given = [...flags.all("cases"), ...flags.words].map(fromCaller);
  const family = flags.get("family");
  const families = FAMILIES.filter((it) => family === undefined || family === `${it}`);
  if (families.length === 0) throw new SyntaxError(`--family can be 4 or 6, not "${family}"`);
  const isOne = flags.has("evaluator") !== flags.has("packets");
  return {
    files: given.length === 0 ? CASE_FILES : given,
    evaluator: !isOne || flags.has("evaluator"),
    packets: !isOne || flags.has("packets"),
    families,
  };
}

/** Resolves a path in the caller's folder: `deno task` changes to the project's folder first. */
function fromCaller(path: string): string {
  return resolve(Deno.env.get("INIT_CWD") ?? Deno.cwd(), path);
}

/** Runs, says what is wrong as it goes, and in the end how it stands. */
async function tally(
  name: string,
  run: (add: (outcome: Outcome) => void) => void | Promise<void>,
): Promise<Tally> {
  const startMs = performance.now();
  const tally = new Tally();
  await run((outcome) => {
    tally.add(outcome);
    if (outcome.kind === "wrong") print(`${formatOutcome(name, outcome)}\n`);
  });
  for (const [reason, count] of tally.skipped) print(`skipped (${name}): ${count}: ${reason}\n`);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  print(`${name}: ${formatTallies([tally])}, in ${seconds} s\n`);
  return tally;
}

function print(text: string): number {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
  return 0;
}

function fail(message: string): number {
  Deno.stderr.writeSync(new TextEncoder().encode(`conformance: ${message}\n`));
  return 2;
}

Deno.exit(await main(Deno.args));
