/** Runs a program to its end, and measures the time from start to exit as its caller sees it. */

import { sleep } from "../../lib/base/async.ts";
import { openFile } from "../../lib/kernel/descriptor.ts";
import { libc } from "../../lib/kernel/symbols.ts";
import { runProgram as run, type RunResult } from "../support/program/executable.ts";
import { ProcessStatus } from "./process.ts";

/** A program and what it gets. */
export interface Program {
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
}

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** Runs a program; nothing of our own environment reaches it. */
export function runProgram({ path, env, ...options }: Program): Promise<RunResult> {
  return run(path, { ...options, env: { PATH, ...env } });
}

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
/** A program that is starting never pauses for this long. */
const STILL_MS = 80;
const LOOK_MS = 10;
const WAIT_MS_MAX = 10_000;

/**
 * The most memory, in MB, that a program had when it came to write its answer. It is stopped there: its
 * stdout is a pipe without room. (What the kernel says at its end, `ru_maxrss`, counts the parent's
 * memory of the moment before exec(2), which is ours and large.)
 *
 * @returns `undefined` if it ended without output
 */
export async function measurePeakMb(
  { path, args = [], env, stdin = "" }: Program,
): Promise<number | undefined> {
  const fifo = await Deno.makeTempDir({ dir: "/run/tmp" }) + "/stdout";
  await runProgram({ path: "mkfifo", args: [fifo] });
  using full = openFile(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  fill(full.fd);
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", `exec "$0" "$@" >${fifo}`, path, ...args],
    env: { PATH, ...env },
    clearEnv: true,
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const written = writeAll(child.stdin, stdin);
  try {
    return await peakWhenStill(child);
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
    await written;
  }
}

async function peakWhenStill(child: Deno.ChildProcess): Promise<number | undefined> {
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  await sleep(LOOK_MS);
  let before = "";
  const endMs = performance.now() + WAIT_MS_MAX;
  for (let stillMs = 0; stillMs < STILL_MS && performance.now() < endMs; stillMs += LOOK_MS) {
    if (hasEnded) return undefined;
    const status = new ProcessStatus(child.pid);
    const now = `${status.residentMbMax} ${status.processorMs}`;
    if (now !== before) stillMs = 0;
    before = now;
    await sleep(LOOK_MS);
  }
  return hasEnded ? undefined : new ProcessStatus(child.pid).residentMbMax;
}

/** Fills a pipe until there is no room for one more byte. */
function fill(fd: number): void {
  for (const size of [4096, 1]) {
    while (libc().write(fd, new Uint8Array(size), BigInt(size)) > 0);
  }
}

async function writeAll(stream: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stream.getWriter();
  await writer.write(new TextEncoder().encode(text)).then(() => writer.close())
    .catch(() => {}); // it may end without reading
}
