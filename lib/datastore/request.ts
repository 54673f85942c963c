/** One request of the API server, with every way to fail as one sentence. */

import type { ApiServer } from "../credentials/api_server.ts";
import { CredentialsError } from "../credentials/error.ts";
import { Deadline } from "./deadline.ts";
import { connectionError, DatastoreError, responseError } from "./error.ts";

/** The longest time for an answer (ms): a firewall may drop packets silently. */
const ANSWER_MS_MAX = 30_000;
/** The longest time for a list (ms): a busy server lets it wait for a minute. */
const LIST_MS_MAX = 60_000;

/**
 * GETs `path`; the answer is 2xx, its body still to be read.
 *
 * @param operation what is done, for the error: `list pods`
 * @throws {DatastoreError} if the server does not answer in time, or refuses
 */
export async function sendGet(
  api: ApiServer,
  path: string,
  operation: string,
  deadline: Deadline,
  signal?: AbortSignal,
): Promise<Response> {
  let response: Response;
  try {
    response = await api.fetch(path, {
      headers: { accept: "application/json" },
      signal: deadline.signal,
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw readError(api, operation, deadline, error);
  }
  if (!response.ok) throw await responseError(operation, response);
  return response;
}

/**
 * Converts a broken or late answer to an error; other errors stay as they are. After a late answer no
 * earlier connection is used again, since a dead one would delay the next request.
 */
export function readError(
  api: ApiServer,
  operation: string,
  deadline: Deadline,
  error: unknown,
): unknown {
  if (deadline.isOver) {
    api.dropConnections();
    return connectionError(operation, api, error);
  }
  if (error instanceof CredentialsError || isAbort(error)) return error;
  return connectionError(operation, api, error);
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/**
 * GETs `path` as text that may be long: each piece of it has as much time as any other answer.
 *
 * @throws {DatastoreError} if the server does not answer, refuses, or breaks off
 */
export async function* getText(
  api: ApiServer,
  path: string,
  operation: string,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  using deadline = new Deadline(LIST_MS_MAX, signal);
  const response = await sendGet(api, path, operation, deadline, signal);
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      deadline.extend(LIST_MS_MAX);
      yield decoder.decode(value, { stream: true });
    }
    yield decoder.decode();
  } catch (cause) {
    signal?.throwIfAborted();
    throw readError(api, operation, deadline, cause);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/**
 * GETs `path` as JSON.
 *
 * @throws {DatastoreError} if the server does not answer, refuses, or answers something else
 */
export async function getJson(
  api: ApiServer,
  path: string,
  operation: string,
  signal?: AbortSignal,
): Promise<unknown> {
  using deadline = new Deadline(ANSWER_MS_MAX, signal);
  const response = await sendGet(api, path, operation, deadline, signal);
  try {
    return await response.json();
  } catch (cause) {
    signal?.throwIfAborted();
    if (!(cause instanceof SyntaxError)) throw readError(api, operation, deadline, cause);
    throw new DatastoreError(
      `Cannot ${operation}: what answers at ${api.server} is no Kubernetes API server`,
      { cause },
    );
  }
}
