/**
 * Whether the API server is still there, asked when a streamed list has been silent. Any answer will do, and one
 * serves all. What a watch may have missed, `missed.ts` asks.
 */

import type { ApiServer } from "../credentials/api_server.ts";
import { Deadline } from "./deadline.ts";
import { readError } from "./request.ts";

/** A path that every user may read (system:public-info-viewer), and that costs the server nothing. */
const PATH = "/version";
/** How long an answer may take by default (ms). */
const ANSWER_MS_MAX = 15_000;
/** How long an answer counts (ms). */
const FRESH_MS = 10_000;

const answers = new WeakMap<ApiServer, { readonly atMs: number; readonly answer: Promise<void> }>();

/**
 * Resolves when the API server has answered.
 *
 * @throws {DatastoreError | CredentialsError} if it does not
 */
export function feelPulse(api: ApiServer, answerMs = ANSWER_MS_MAX): Promise<void> {
  const nowMs = performance.now();
  const known = answers.get(api);
  if (known !== undefined && nowMs - known.atMs < FRESH_MS) return known.answer;
  const answer = ask(api, answerMs);
  answer.catch(() => {}); // who asked hears of it
  answers.set(api, { atMs: nowMs, answer });
  return answer;
}

async function ask(api: ApiServer, answerMs: number): Promise<void> {
  using deadline = new Deadline(answerMs, undefined);
  try {
    const response = await api.fetch(PATH, { signal: deadline.signal });
    await response.body?.cancel();
  } catch (error) {
    throw readError(api, "ask whether it is still there", deadline, error);
  }
}
