/** Warnings on stderr, after which a command goes on. */

import { GLOBAL_FLAGS, readFlag } from "../arguments.ts";
import type { Call } from "../command.ts";

/** Prints one warning for an object, with all its problems. */
export type Warn = (kind: string, key: string, problems: readonly string[]) => void;

/**
 * What `--log-level` makes of warnings: the level "error" keeps them back.
 *
 * @throws {CtlError} if it is no level
 */
export function warnOf(call: Call): Warn {
  const warn = warnTextOf(call);
  return (kind, key, problems) => {
    const name = key === "" ? "without a name" : key;
    warn(`${kind} ${name}: ${problems.join("; ")}`);
  };
}

/**
 * The same for a sentence about anything else.
 *
 * @throws {CtlError} if it is no level
 */
export function warnTextOf({ flags, terminal }: Call): (text: string) => void {
  if (readFlag(GLOBAL_FLAGS.logLevel, flags) === "error") return () => {};
  return (text) => terminal.printError(`calyxctl: Warning: ${text}`);
}
