/**
 * Whether a watch on which nothing comes has missed something. A connection that died without a word looks
 * like one on which nothing happens, and the server may be there for others. So a second watch from the same
 * version, which has a connection of its own, asks what there has been since.
 */

import type { ApiServer } from "../credentials/api_server.ts";
import { Deadline } from "./deadline.ts";
import { DatastoreError } from "./error.ts";
import type { ResourceKind } from "./kind.ts";
import { readError, sendGet } from "./request.ts";

/** How long an answer may take, unless the caller says otherwise; one second of it the server waits. */
const ANSWER_MS_MAX = 15_000;

/** From where a watch has nothing. */
export interface MissedOptions {
  readonly resourceVersion: string;
  readonly fieldSelector?: string | undefined;
  readonly answerMs?: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * Watches for one second from a version on.
 *
 * @returns whether there are later events; `false` also if the server refuses, which shows that it is
 * alive
 * @throws {DatastoreError | CredentialsError} if it does not answer; with `isGone` when it no longer
 * knows
 */
export async function hasMissed<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  { resourceVersion, fieldSelector, answerMs = ANSWER_MS_MAX, signal }: MissedOptions,
): Promise<boolean> {
  const operation = `watch ${kind.name}`;
  const query = new URLSearchParams({ watch: "1", resourceVersion, timeoutSeconds: "1" });
  if (fieldSelector !== undefined) query.set("fieldSelector", fieldSelector);
  using deadline = new Deadline(answerMs, signal);
  try {
    const response = await sendGet(api, `${kind.path}?${query}`, operation, deadline, signal);
    const reader = response.body?.getReader();
    if (reader === undefined) return false;
    try {
      return !(await reader.read()).done;
    } finally {
      await reader.cancel().catch(() => {});
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof DatastoreError)) throw readError(api, operation, deadline, error);
    if (error.status === undefined || error.isGone) throw error;
    return false;
  }
}
