/**
 * `deno task test:kernels`: what asks the kernel, under other kernels than this machine's, and one table
 * of what became of it. What a machine takes is in machine.ts; where it cannot be had, nothing is run and
 * one line says why.
 */

import { messageOf } from "../../lib/base/error.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import { flagSpecOf, readEach, readValues } from "../../lib/settings/read.ts";
import { boundCommand } from "../support/isolation/isolate.ts";
import { watchLaunchers } from "../support/isolation/launcher.ts";
import { formatSummary } from "../support/runner/summary.ts";
import { MissingError } from "./debian_kernel.ts";
import { GROUPS } from "./groups.ts";
import type { Group } from "./job.ts";
import { missingMachine, runMachine } from "./machine.ts";
import { FLAGS, HELP, SECONDS } from "./flags.ts";
import { type Ending, formatTable, KernelReport, type Result, sumUp } from "./report.ts";

const KERNELS = ["6.1", "6.12"];
/** An emulated machine that says nothing for so long does not boot here. */
const BOOT_SECONDS_MAX = 240;

const ROOT = await Deno.realPath(`${import.meta.dirname}/../..`);

/** What the command line asks for. */
interface Request {
  readonly kernels: readonly string[];
  readonly groups: readonly Group[];
  readonly seconds: number;
}

async function main(args: readonly string[]): Promise<number> {
  let request: Request;
  try {
    if (args.includes("--help")) return print(HELP);
    request = parseRequest(args);
  } catch (error) {
    print(`test:kernels: ${messageOf(error)}\n`);
    return 2;
  }
  const missing = missingMachine();
  if (missing !== undefined) return skip(missing);
  if (!await build()) return 1;
  const results: Result[] = [];
  for (const kernel of request.kernels) results.push(...await runKernel(kernel, request));
  if (results.length === 0) return 0;
  print(`\n${formatTable(results)}`);
  const summary = sumUp(results);
  print(`${formatSummary(summary)}\n`);
  return summary.failed === 0 ? 0 : 1;
}

/** @throws {SyntaxError} naming the flag */
function parseRequest(args: readonly string[]): Request {
  const flags = parseFlags(args, flagSpecOf(FLAGS));
  const { short: isShort, filter, seconds: given } = readValues(FLAGS, flags);
  for (const word of flags.words) {
    if (!/^\d+\.\d+$/.test(word)) throw new SyntaxError(`A kernel is like 6.1, not "${word}"`);
  }
  const names = readEach(FLAGS.group, flags);
  const unknown = names.find((name) => !GROUPS.some((it) => it.name === name));
  if (unknown !== undefined) {
    const known = GROUPS.map((it) => `"${it.name}"`).join(", ");
    throw new SyntaxError(`--group can be ${known}, not "${unknown}"`);
  }
  const seconds = given ?? SECONDS[isShort ? "short" : "whole"];
  const files = readEach(FLAGS.test, flags);
  const chosen = GROUPS.filter((it) =>
    names.length > 0
      ? names.includes(it.name)
      : isShort
      ? it.short !== undefined
      : it.short !== "only"
  );
  const groups: readonly Group[] = files.length === 0
    ? chosen
    : files.map((it) => ({ name: it, files: [it], seconds }));
  return {
    kernels: flags.words.length === 0 ? KERNELS : flags.words,
    groups: groups.map((it) =>
      filter === undefined ? it : { ...it, flags: [`--filter=${filter}`] }
    ),
    seconds,
  };
}

/** Runs what is asked under one kernel; nothing comes back where there is no such machine. */
async function runKernel(kernel: string, request: Request): Promise<readonly Result[]> {
  const { groups, seconds } = request;
  const report = new KernelReport(kernel, groups.map((it) => it.name));
  const off = new AbortController();
  const timers = [
    setTimeout(() => off.abort(), seconds * 1000),
    setTimeout(() => {
      if (report.release === undefined) off.abort();
    }, BOOT_SECONDS_MAX * 1000),
  ];
  print(`test:kernels: ${kernel}: booting\n`);
  try {
    const lastWords = await runMachine({
      version: kernel,
      project: ROOT,
      job: { groups, env: { CALYX_DIST: `${ROOT}/dist`, NO_COLOR: "1" } },
      signal: off.signal,
      onLine: (line) => {
        if (report.take(line)) print(`${line}\n`);
        else if (report.isDone) off.abort();
      },
    });
    if (report.release === undefined) {
      skip(`the machine with Linux ${kernel} does not come up: ${lastWords || "no word of it"}`);
      return [];
    }
    const isDone = report.isDone || off.signal.aborted;
    const ending: Ending = report.isDone
      ? { kind: "done" }
      : isDone
      ? { kind: "out of time" }
      : { kind: "crashed", lastWords };
    return report.results(ending);
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    skip(error.message);
    return [];
  } finally {
    timers.forEach(clearTimeout);
  }
}

async function build(): Promise<boolean> {
  const command = boundCommand([Deno.execPath(), "run", "-A", "deploy/build/build.ts"], {
    cwd: ROOT,
    stdin: "null",
  });
  return (await command.spawn().status).success;
}

function skip(reason: string): number {
  return print(`test:kernels: skipped, because ${reason}\n`);
}

function print(text: string): number {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
  return 0;
}

using _watch = watchLaunchers(() => Deno.exit(129));
Deno.exit(await main(Deno.args));
