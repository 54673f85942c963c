/** `-n`, and what names may be: a name becomes a part of a path on the API server. */

import type { Flags } from "../lib/base/flags.ts";
import { GLOBAL_FLAGS, readFlag } from "./arguments.ts";
import { CtlError } from "./error.ts";

/**
 * The namespace that `-n` names; `undefined` where none is given.
 *
 * @throws {CtlError} if it can be no namespace's name (RFC 1123, a label)
 */
export function readNamespace(flags: Flags): string | undefined {
  const name = readFlag(GLOBAL_FLAGS.namespace, flags);
  if (name === undefined || /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return name;
  throw new CtlError(
    `--namespace "${name}" can be no namespace's name: write lower-case letters, digits and "-"`,
  );
}

/** Whether a name is valid for an API object: a DNS name (RFC 1123), as of every kind here. */
export function isObjectName(name: string): boolean {
  return name.length <= 253 &&
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name);
}
