/** `metav1.Status`: how a Kubernetes API server says no. Reasons and codes are its own. */

import type { JsonObject } from "./object.ts";

/** HTTP status code by `StatusReason`, <k8s.io/apimachinery/pkg/apis/meta/v1/types.go>. */
export const CODES = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  /** The real server names no reason where an error was not meant for clients. */
  Unknown: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const;

/** A `StatusReason`. */
export type StatusReason = keyof typeof CODES;

/** One field that validation refuses, `metav1.StatusCause`. */
export interface StatusCause {
  readonly field?: string;
  readonly message: string;
  readonly reason:
    | "FieldValueInvalid"
    | "FieldValueRequired"
    | "FieldValueForbidden"
    | "FieldValueNotSupported"
    | "FieldValueDuplicate"
    | "FieldValueTooLong"
    | "ResourceVersionTooLarge";
}

/** `metav1.StatusDetails`, the parts in use. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

/** A refusal; the handler turns it into a response, a watch into an ERROR event. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly code: number;
  readonly reason: StatusReason;
  readonly details: StatusDetails | undefined;
  /** Further `ListMeta` of the answer: the inconsistent continue token of an expired page. */
  readonly listMeta: JsonObject;

  constructor(
    reason: StatusReason,
    message: string,
    details?: StatusDetails,
    listMeta: JsonObject = {},
  ) {
    super(message);
    this.code = CODES[reason];
    this.reason = reason;
    this.details = details;
    this.listMeta = listMeta;
  }

  /** The `Status` object. */
  toStatus(): JsonObject {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: this.listMeta,
      status: "Failure",
      message: this.message,
      ...(this.reason === "Unknown" ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** The answer to a deletion that returns no object. */
export function successStatus(details: StatusDetails): JsonObject {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
}

/**
 * Refuses an object for all its problems at once.
 *
 * @throws {StatusError} 422 if there is any problem
 */
export function refuseInvalid(
  causes: readonly StatusCause[],
  about: { readonly kind: string; readonly group: string; readonly name: string },
): void {
  if (causes.length === 0) return;
  const list = causes.map(({ field, message }) => `${field}: ${message}`).join(", ");
  const dotted = about.group === "" ? about.kind : `${about.kind}.${about.group}`;
  throw new StatusError("Invalid", `${dotted} "${about.name}" is invalid: ${list}`, {
    ...about,
    causes,
  });
}
