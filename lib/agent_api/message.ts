/**
 * The bytes of a request, and what an answer says: RFC 9112, one request a connection. Requests are
 * HTTP/1.0, so that an answer ends with its connection; the agent answers HTTP/1.1 and closes.
 */

import { type Bytes, concatBytes } from "../base/bytes.ts";
import { isRecord } from "../base/json.ts";
import { type Body, readText } from "./body.ts";
import { type ApiCall, formatCall } from "./route.ts";

/** HTTP statuses of answers, and their meaning for the client. */
export const STATUS = {
  ok: 200,
  /** The request is invalid; a retry does not help. */
  badRequest: 400,
  /** This agent has no such route. */
  noRoute: 404,
  /** `putEndpoint`: the interface was deleted while its policy was awaited. */
  detached: 409,
  /** `getNode`: the node is not known yet. */
  unknownNode: 503,
  /** `putEndpoint`: the policy is not in the kernel in time; the agent keeps working on it. */
  late: 504,
} as const;

/** Says how long the agent may keep the answer to `putEndpoint`, in milliseconds. */
export const WAIT_HEADER = "x-timeout-ms";
const WAIT_MS_DEFAULT = 10_000;
const WAIT_MS_MAX = 120_000;

/** A request. */
export interface ApiRequest {
  readonly call: ApiCall;
  /** For `putEndpoint`. Missing: ten seconds; the agent waits two minutes at most. */
  readonly waitMs?: number;
  readonly body?: Body;
}

/** An answer. */
export interface ApiAnswer {
  readonly status: number;
  /** `undefined`: it was no JSON object. */
  readonly body: Body | undefined;
}

/** Encodes a request. */
export function formatRequest({ call, waitMs, body }: ApiRequest): Bytes {
  const encoder = new TextEncoder();
  const [method, path] = formatCall(call);
  const content = encoder.encode(body === undefined ? "" : JSON.stringify(body));
  const lines = [
    `${method} ${path} HTTP/1.0`,
    "host: calyx-agent",
    ...(waitMs === undefined ? [] : [`${WAIT_HEADER}: ${waitMs}`]),
    ...(body === undefined
      ? []
      : ["content-type: application/json", `content-length: ${content.length}`]),
  ];
  return concatBytes([encoder.encode(`${lines.join("\r\n")}\r\n\r\n`), content]);
}

/** Decodes the bytes of a whole answer; `undefined` if they end within its head. */
export function parseAnswer(bytes: Bytes): ApiAnswer | undefined {
  const text = new TextDecoder().decode(bytes);
  const end = text.indexOf("\r\n\r\n");
  const match = /^HTTP\/1\.[01] (\d{3})/.exec(text);
  if (end < 0 || match === null) return undefined;
  const status = Number(match[1]);
  try {
    const body: unknown = JSON.parse(text.slice(end + 4));
    return { status, body: isRecord(body) ? body : undefined };
  } catch {
    return { status, body: undefined };
  }
}

/** How long the agent waits (ms), from the header's text; `null`: there is no such header. */
export function parseWaitMs(text: string | null): number {
  const value = Number(text ?? WAIT_MS_DEFAULT);
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), WAIT_MS_MAX) : WAIT_MS_DEFAULT;
}

/** The body of every answer but {@link STATUS.ok}. */
export function encodeFailure(error: string): Body {
  return { error };
}

/** Why the agent did not do it, in a sentence. Missing: it gave no reason. */
export function decodeFailure(body: Body): string {
  return readText(body, "error") ?? "no reason given";
}
