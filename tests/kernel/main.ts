/**
 * `deno task test:kernels`: what asks the kernel, under other kernels than this machine's, and one table
 * of what became of it. What a machine takes is in machine.ts; where it cannot be had, nothing is run and
 * one line says why.
 */

import { messageOf } from "../../lib/base/error.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import { boundCommand } from "../support/isolation/isolate.ts";
import { watchLaunchers } from "../support/isolation/launcher.ts";
import { formatSummary } from "../support/runner/summary.ts";
import { MissingError } from "./debian_kernel.ts";
import { GROUPS } from "./groups.ts";
import type { Group } from "./job.ts";
import { missingMachine, runMachine } from "./machine.ts";
import { type Ending, formatTable, KernelReport, type Result, sumUp } from "./report.ts";

const HELP = `deno task test:kernels [flags] [KERNEL…]: the tests that ask the kernel, under others.

  KERNEL           6.1 and 6.12 unless named: Debian's newest of that version
  --short          only what fits into six minutes a kernel
  --group NAME     only this group; may be given more than once
  --test FILE      this test file instead of the groups; may be given more than once
  --filter WORD    only tests whose name it is in
  --seconds N      switch a machine off after so long
  --help           print this

The last line is "tests: N passed, N failed, N skipped"; exit 1 when one failed. What is missing for a
machine (qemu, busybox, …) is said in one line, and nothing is run then.
`;

const KERNELS = ["6.1", "6.12"];
const SECONDS = { short: 330, whole: 4 * 3600 };
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
  const flags = parseFlags(args, {
    boolean: ["short", "help"],
    string: ["group", "test", "filter", "seconds"],
    collect: ["group", "test"],
  });
  for (const word of flags.words) {
    if (!/^\d+\.\d+$/.test(word)) throw new SyntaxError(`A kernel is like 6.1, not "${word}"`);
  }
  const isShort = flags.has("short");
  const names = flags.all("group");
  const unknown = names.find((name) => !GROUPS.some((it) => it.name === name));
  if (unknown !== undefined) {
    const known = GROUPS.map((it) => `"${it.name}"`).join(", ");
    throw new SyntaxError(`--group can be ${known}, not "${unknown}"`);
  }
  const given = flags.get("seconds");
  const seconds = given === undefined ? SECONDS[isShort ? "short" : "whole"] : Number(given);
  if (!Number.isInteger(seconds) || seconds < 1) {
    throw new SyntaxError(`--seconds is a number from 1 on, not "${given}"`);
  }
  const files = flags.all("test");
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
  const filter = flags.get("filter");
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
