/**
 * The command line: which word is the command, and the flags by the command's own table and the
 * global one. Global flags may stand before the command or after it.
 */

import { messageOf } from "../lib/base/error.ts";
import { type Flags, type FlagSpec, parseFlags } from "../lib/base/flags.ts";
import { CREDENTIAL_FLAGS } from "../lib/credentials/settings.ts";
import { flagSpecOf, readValue } from "../lib/settings/read.ts";
import { type Setting, setting, type SettingTable } from "../lib/settings/setting.ts";
import { logLevel, switched, text } from "../lib/settings/value_type.ts";
import { CONFIG_FILE } from "./config_file.ts";
import { duration } from "./duration.ts";
import { CtlError } from "./error.ts";
import { suggest } from "./suggest.ts";

/** Flags that every command takes. */
export const GLOBAL_FLAGS = {
  config: setting({
    flag: "config",
    letter: "c",
    type: text("FILE"),
    unsaid: CONFIG_FILE,
    help: "calicoctl's configuration file",
  }),
  ...CREDENTIAL_FLAGS,
  namespace: setting({
    flag: "namespace",
    letter: "n",
    type: text("NAME"),
    help: "namespace",
  }),
  logLevel: setting({
    flag: "log-level",
    letter: "l",
    type: logLevel,
    default: "warn",
    help: "error keeps warnings back",
  }),
  requestTimeoutMs: setting({
    flag: "request-timeout",
    type: duration,
    default: 30_000,
    help: "how long the API server may take, such as 10s or 1m; 0 waits for ever",
  }),
  help: setting({
    flag: "help",
    letter: "h",
    type: switched,
    default: false,
    help: "help on a command",
  }),
} as const satisfies SettingTable;

const GLOBAL_SPEC = flagSpecOf(GLOBAL_FLAGS);

/**
 * The value of a flag.
 *
 * @throws {CtlError} naming the flag, its value and what it may be
 */
export function readFlag<T>(row: Setting<T>, flags: Flags): T {
  try {
    return readValue(row, flags);
  } catch (error) {
    throw new CtlError(messageOf(error), { cause: error });
  }
}

/** The first word that is neither a flag nor a flag's value, and all the others. */
export interface SplitArguments {
  readonly command: string | undefined;
  readonly rest: readonly string[];
}

/** Finds the command among `args`; only global flags can stand before it. */
export function splitArguments(args: readonly string[]): SplitArguments {
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (!arg.startsWith("-")) {
      return { command: arg, rest: [...args.slice(0, i), ...args.slice(i + 1)] };
    }
    if (takesValue(arg, GLOBAL_SPEC)) i++;
  }
  return { command: undefined, rest: args };
}

/**
 * Parses the arguments after the command; also takes a letter with its value in one word
 * (`-oyaml`).
 *
 * @throws {CtlError} naming the flag that is unknown or lacks its value
 */
export function parseArguments(args: readonly string[], own: SettingTable): Flags {
  const merged = flagSpecOf({ ...GLOBAL_FLAGS, ...own });
  const names = [...merged.boolean, ...merged.string].map((it) => `--${it}`);
  for (const arg of flagsIn(args, merged)) {
    const name = arg.split("=")[0] ?? arg;
    if (name.startsWith("--") && !names.includes(name) && !isLetter(name, merged)) {
      throw new CtlError(`Unknown flag "${name}"${suggest(name, names)}`);
    }
  }
  try {
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const flags = args.slice(0, end).map((it) => splitLetter(it, merged));
    return parseFlags([...flags, ...args.slice(end)], merged);
  } catch (error) {
    if (error instanceof SyntaxError) throw new CtlError(error.message, { cause: error });
    throw error;
  }
}

/** The arguments that are flags, not values of flags nor words after `--`. */
function flagsIn(args: readonly string[], spec: FlagSpec): string[] {
  const flags: string[] = [];
  for (let i = 0; i < args.length && args[i] !== "--"; i++) {
    const arg = args[i] ?? "";
    if (!arg.startsWith("-")) continue;
    flags.push(arg);
    if (takesValue(arg, spec)) i++;
  }
  return flags;
}

function isLetter(name: string, spec: FlagSpec): boolean {
  return Object.hasOwn(spec.alias ?? {}, name.slice(2));
}

/** Whether the value of `arg` is the next argument. */
function takesValue(arg: string, { string: strings = [], alias = {} }: FlagSpec): boolean {
  const name = arg.replace(/^--?/, "");
  return strings.includes(alias[name] ?? name);
}

/** `-oyaml` to `-o=yaml`, where `o` takes a value. */
function splitLetter(arg: string, { string: strings = [], alias = {} }: FlagSpec): string {
  const match = /^-([A-Za-z])([^=].*)$/s.exec(arg);
  const name = alias[match?.[1] ?? ""];
  return name !== undefined && strings.includes(name) ? `-${match?.[1]}=${match?.[2]}` : arg;
}
