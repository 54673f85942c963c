/**
 * The error that the caller of the plugin must hear: a code of the CNI specification, one sentence,
 * and details. `main.ts` prints it, once; code that catches one throws it on unchanged.
 * CNI specification 1.1, section 5, "Error".
 */

import { messageOf } from "../../lib/base/error.ts";

/** Codes: 0–99 are the specification's, those from 100 on are ours. */
export const CNI_CODES = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  io: 5,
  decode: 6,
  invalidConfiguration: 7,
  /** Not in the specification's table; the reference library uses it. */
  invalidNamespace: 8,
  tryAgainLater: 11,
  unavailable: 50,
  /** Unavailable, and containers that exist may have lost their network too. */
  unavailableDegraded: 51,
  /** There is no free address. */
  addressUnavailable: 100,
  /** The kernel refused a link, an address, a route. */
  networkFailed: 101,
  /** CHECK found something missing or different. */
  checkFailed: 102,
  /** An error that the plugin does not expect: a fault of its own. */
  internal: 999,
} as const;

/** The name of a code in {@link CNI_CODES}. */
export type CniCode = keyof typeof CNI_CODES;

/** A failure with its code; `message` is one sentence, `details` what a person needs beyond it. */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;
  readonly details: string | undefined;

  constructor(
    code: CniCode | number,
    message: string,
    options: { readonly details?: string; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = typeof code === "number" ? code : CNI_CODES[code];
    this.details = options.details;
  }
}

/** Converts `error` to a {@link CniError}; one that is a CniError already is returned as it is. */
export function toCniError(error: unknown, code: CniCode = "internal"): CniError {
  if (error instanceof CniError) return error;
  const message = messageOf(error);
  return new CniError(code, message, { cause: error });
}

/** Formats the error object as the caller parses it. */
export function formatError(error: CniError, cniVersion: string): string {
  const { code, message, details } = error;
  return JSON.stringify(
    { cniVersion, code, msg: message, ...(details === undefined ? {} : { details }) },
    undefined,
    4,
  );
}
