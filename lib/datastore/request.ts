/** One request of the API server, with every way to fail as one sentence. */

import type { ApiServer } from "../credentials/api_server.ts";
import { connectionError, DatastoreError, responseError } from "./error.ts";

/**
 * GETs `path`; the answer is 2xx.
 *
 * @param operation what is done, for the error: `list pods`
 * @throws {DatastoreError} if the server does not answer or refuses
 */
export async function sendGet(
  api: ApiServer,
  path: string,
  operation: string,
  signal?: AbortSignal,
): Promise<Response> {
  let response: Response;
  try {
    response = await api.fetch(path, {
      headers: { accept: "application/json" },
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof TypeError)) throw error;
    throw connectionError(operation, api.server, api.authority, error);
  }
  if (!response.ok) throw await responseError(operation, response);
  return response;
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
  const response = await sendGet(api, path, operation, signal);
  try {
    return await response.json();
  } catch (cause) {
    signal?.throwIfAborted();
    throw new DatastoreError(
      `Cannot ${operation}: what answers at ${api.server} is no Kubernetes API server`,
      { cause },
    );
  }
}
