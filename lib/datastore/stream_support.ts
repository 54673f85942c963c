/**
 * Whether an API server takes the request for a streamed list (KEP-3157): a watch that begins with every
 * object. A server that does not know of it would send the objects and never say that they are all, so one
 * is asked only where its version knows the parameter; that one refuses it while its feature is off.
 */

import { isRecord } from "../base/json.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { Deadline } from "./deadline.ts";
import { DatastoreError } from "./error.ts";
import { sendGet } from "./request.ts";

/** From 1.27 on `sendInitialEvents` is validated (ValidateListOptions of apimachinery). */
const MINOR_MIN = 27;
const ANSWER_MS_MAX = 15_000;

const refusing = new WeakSet<ApiServer>();

/**
 * Whether `api` may be asked for a streamed list; not, once it has refused one.
 *
 * @param operation what it is for, for the error: `list pods`
 * @throws {DatastoreError | CredentialsError} if the server does not answer
 */
export async function mayStream(
  api: ApiServer,
  operation: string,
  signal: AbortSignal,
): Promise<boolean> {
  return !refusing.has(api) && await knowsStreams(api, operation, signal);
}

/** Remembers that the server has refused a streamed list. @returns whether that is news */
export function rememberRefusal(api: ApiServer): boolean {
  const isNews = !refusing.has(api);
  refusing.add(api);
  return isNews;
}

async function knowsStreams(
  api: ApiServer,
  operation: string,
  signal: AbortSignal,
): Promise<boolean> {
  using deadline = new Deadline(ANSWER_MS_MAX, signal);
  let response: Response;
  try {
    response = await sendGet(api, "/version", operation, deadline, signal);
  } catch (error) {
    // A user who may not read the version may still list; a server that does not answer serves no list either.
    if (error instanceof DatastoreError && error.status !== undefined) return false;
    throw error;
  }
  try {
    const answer: unknown = await response.json();
    const { major, minor } = isRecord(answer) ? answer : {};
    // Some distributions print "27+".
    return major === "1" && typeof minor === "string" && parseInt(minor, 10) >= MINOR_MIN;
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
