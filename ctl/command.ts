/** The type of a command, and its arguments. */

import type { Flags } from "../lib/base/flags.ts";
import type { SettingTable } from "../lib/settings/setting.ts";

/** Standard streams and environment, as an argument, so that tests can replace them. */
export interface Terminal {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Writes text to stdout. */
  print(text: string): void;
  /** Writes one line to stderr. */
  printError(line: string): void;
  /** Reads all of stdin. */
  readInput(): Promise<string>;
  /** The configuration file without `--config`; it may be missing. @default {CONFIG_FILE} */
  readonly configFile?: string;
}

/** One call of a command: its flags, and its words after its own name. */
export interface Call {
  readonly words: readonly string[];
  readonly flags: Flags;
  readonly terminal: Terminal;
}

/** A word after `calyxctl`. */
export interface Command {
  readonly name: string;
  /** Half a sentence for the list of commands; `undefined` = not listed. */
  readonly summary: string | undefined;
  /** What follows its name in the usage line: `KIND [NAME…] [flags]`. */
  readonly usage: string;
  /** Paragraphs on what it does; they end with a line break. */
  readonly description?: string;
  /** Its own flags; `undefined`: it gets all its arguments unparsed. */
  readonly flags: SettingTable | undefined;
  /** Calls to learn from. */
  readonly examples?: readonly string[];
  /** Prints the result, or throws a {@link CtlError} with one sentence. */
  run(call: Call): Promise<void> | void;
}
