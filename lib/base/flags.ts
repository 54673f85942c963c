/** Command-line flags, through `@std/cli`, strictly: an unknown flag or a missing value is an error. */

import { parseArgs } from "@std/cli/parse-args";
import { nearestWord } from "./nearest_word.ts";

/** What flags a command takes; `alias` maps the short letter to the long name. */
export interface FlagSpec {
  readonly boolean?: readonly string[];
  readonly string?: readonly string[];
  /** Those of `string` that may be given more than once. */
  readonly collect?: readonly string[];
  readonly alias?: Readonly<Record<string, string>>;
}

/** The flags given, by long name, and the other words in their order. */
export interface Flags {
  readonly words: readonly string[];
  has(name: string): boolean;
  /** The flag's value; the last one where it was given twice. */
  get(name: string): string | undefined;
  /** All values of a flag that may be given more than once, in their order. */
  all(name: string): readonly string[];
}

const parse: (
  args: readonly string[],
  options: object,
) => Record<string, unknown> & { _: unknown[] } = parseArgs;

/**
 * Parses `args` by `spec`. Words after `--` are never flags.
 *
 * @throws {SyntaxError} naming the flag that is unknown or lacks its value
 */
export function parseFlags(args: readonly string[], spec: FlagSpec): Flags {
  const { boolean: booleans = [], string: strings = [], collect = [], alias = {} } = spec;
  const unknown: string[] = [];
  const values = parse(args, {
    boolean: [...booleans],
    string: ["_", ...strings],
    collect: [...collect],
    alias: Object.fromEntries(Object.entries(alias).map(([short, long]) => [long, [short]])),
    unknown: (arg: string, key?: string) => {
      if (key === undefined) return true;
      unknown.push(arg.split("=")[0] ?? arg);
      return false;
    },
  });
  const [first] = unknown;
  if (first !== undefined) {
    const nearest = nearestWord(first, [...booleans, ...strings].map((it) => `--${it}`));
    const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`;
    throw new SyntaxError(`Unknown flag "${first}"${hint}`);
  }
  for (const name of strings) {
    if (allOf(values[name]).includes("")) throw new SyntaxError(`Flag "--${name}" needs a value`);
  }
  return {
    words: values._.map(String),
    has: (name) => values[name] === true || typeof last(values[name]) === "string",
    get: (name) => {
      const value = last(values[name]);
      return typeof value === "string" ? value : undefined;
    },
    all: (name) => allOf(values[name]),
  };
}

function allOf(value: unknown): readonly string[] {
  return [value].flat().filter((it) => typeof it === "string");
}

function last(value: unknown): unknown {
  return Array.isArray(value) ? value.at(-1) : value;
}
