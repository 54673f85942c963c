/** Warnings on stderr, about objects that were not understood in full. */

import { LOG_LEVELS, parseLogLevel } from "../../lib/base/log.ts";
import type { Call } from "../command.ts";
import { CtlError } from "../error.ts";

/** Tells of an object, once for all that is wrong with it. */
export type Warn = (kind: string, key: string, problems: readonly string[]) => void;

/**
 * What `--log-level` makes of warnings: the level "error" keeps them back.
 *
 * @throws {CtlError} if it is no level
 */
export function warnOf({ flags, terminal }: Call): Warn {
  const level = parseLevel(flags.get("log-level") ?? "warn");
  if (level < LOG_LEVELS.indexOf("warn")) return () => {};
  return (kind, key, problems) => {
    const name = key === "" ? "without a name" : key;
    terminal.printError(`calyxctl: Warning: ${kind} ${name}: ${problems.join("; ")}`);
  };
}

function parseLevel(text: string): number {
  try {
    return LOG_LEVELS.indexOf(parseLogLevel(text));
  } catch (error) {
    const why = error instanceof Error ? error.message : "";
    throw new CtlError(`--log-level: ${why}`, { cause: error });
  }
}
