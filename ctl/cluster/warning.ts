/** Warnings on stderr, about objects that were not understood in full. */

import { GLOBAL_FLAGS, readFlag } from "../arguments.ts";
import type { Call } from "../command.ts";

/** Tells of an object, once for all that is wrong with it. */
export type Warn = (kind: string, key: string, problems: readonly string[]) => void;

/**
 * What `--log-level` makes of warnings: the level "error" keeps them back.
 *
 * @throws {CtlError} if it is no level
 */
export function warnOf({ flags, terminal }: Call): Warn {
  if (readFlag(GLOBAL_FLAGS.logLevel, flags) === "error") return () => {};
  return (kind, key, problems) => {
    const name = key === "" ? "without a name" : key;
    terminal.printError(`calyxctl: Warning: ${kind} ${name}: ${problems.join("; ")}`);
  };
}
