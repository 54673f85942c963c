/** The command line of the test runner, taken apart. */

import type { Speed } from "./speed.ts";

/** Flags of `deno test` whose value may be a word of its own: `--filter open`. */
const WITH_VALUE = ["--filter", "--reporter", "--junit-path", "--ignore"];

/** Flags for `deno test`, and words that select test files. */
export interface Arguments {
  /** Each with its value: `--filter=open`. */
  readonly flags: readonly string[];
  readonly words: readonly string[];
  /** Of `--unit` and `--kernel` the last. @default {"all"} */
  readonly speed: Speed;
}

const SPEEDS: Readonly<Record<string, Speed>> = { "--unit": "unit", "--kernel": "kernel" };

/** Takes `--filter "a name" agent_test --fail-fast` apart. */
export function parseArguments(args: readonly string[]): Arguments {
  const flags: string[] = [];
  const words: string[] = [];
  let speed: Speed = "all";
  let open: string | undefined; // a flag whose value comes next
  for (const arg of args) {
    if (open !== undefined) flags[flags.length - 1] = `${open}=${arg}`;
    else if (SPEEDS[arg] !== undefined) speed = SPEEDS[arg];
    else (arg.startsWith("-") ? flags : words).push(arg);
    open = open === undefined && WITH_VALUE.includes(arg) ? arg : undefined;
  }
  return { flags, words, speed };
}
