/**
 * The compiled plugin under strace(1): which system calls it makes of its own, and the plugin killed at
 * one of them. The plugin ends before the kernel does what the call asks for.
 */

import { assert } from "@std/assert";
import { DIST, runProgram, type RunResult } from "../program/executable.ts";
import type { CniAnswer, PluginCall } from "./call.ts";

/** One system call: the nth of its name in the main thread, as strace(1) counts. */
export interface SystemCall {
  readonly name: string;
  readonly nth: number;
}

/** The system calls of a run by name: our own, and how many of that name come before those. */
export interface CallList {
  readonly calls: Readonly<Record<string, number>>;
  readonly before: ReadonlyMap<string, number>;
}

/** The first call of our own program: it reads its configuration. What is before is the runtime's. */
export const FIRST_OWN_CALL: RegExp = /"\{\\"cniVersion/;

/** Calls that change something, or open what is to be changed: the main thread alone makes them. */
const CHANGE =
  /\bO_(WRONLY|RDWR|CREAT)\b|^\d+ +(mkdir|unlink|rmdir|rename|link|symlink|ftruncate|send|connect|setns|u?mount)/;

/**
 * Runs the plugin untouched.
 *
 * @param from the first system call that counts as our own
 * @param until the first one that does not any more
 */
export async function listCalls(
  call: PluginCall,
  from: RegExp,
  until?: RegExp,
): Promise<CallList> {
  const path = await Deno.makeTempFile({ dir: "/run" });
  await trace(call, ["-o", path]);
  const lines = (await Deno.readTextFile(path)).split("\n").filter((it) => /^\d+ /.test(it));
  await Deno.remove(path);
  const [main] = lines[0]?.split(" ") ?? [];
  const calls: Record<string, number> = {};
  const before = new Map<string, number>();
  let isOurs = false;
  for (const line of lines) {
    const isMain = line.startsWith(`${main} `);
    isOurs ||= isMain && from.test(line);
    if (isOurs && until?.test(line)) break;
    assert(isMain || !isOurs || !CHANGE.test(line), `Another thread changes something: ${line}`);
    // One that is resumed, because another thread has made a call in between, is no second one.
    const [, name] = /^\d+ +(\w+)\(/.exec(line) ?? [];
    if (!isMain || name === undefined) continue;
    if (isOurs) calls[name] = (calls[name] ?? 0) + 1;
    else before.set(name, (before.get(name) ?? 0) + 1);
  }
  assert(isOurs, `The plugin was not seen to call ${from}`);
  return { calls, before };
}

/** Runs the plugin and kills it at `at`; `undefined`, unless it never comes there. */
export async function killPlugin(
  call: PluginCall,
  { name, nth }: SystemCall,
): Promise<{ readonly code: number; readonly answer: CniAnswer } | undefined> {
  const inject = ["-e", `trace=${name}`, "-e", `inject=${name}:signal=KILL:when=${nth}`];
  const { signal, code, stdout } = await trace(call, ["-o", "/dev/null", ...inject]);
  if (signal !== null) return undefined;
  return { code, answer: stdout === "" ? {} : JSON.parse(stdout) };
}

function trace(call: PluginCall, options: readonly string[]): Promise<RunResult> {
  return runProgram("strace", { ...call, args: ["-f", "-qq", ...options, `${DIST}/calyx`] });
}
