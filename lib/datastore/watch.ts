/**
 * One watch: events of a kind after a resource version, or first of everything there is, until the server or
 * the caller ends it.
 */

import { isRecord } from "../base/json.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { CredentialsError } from "../credentials/error.ts";
import { Deadline } from "./deadline.ts";
import { DatastoreError, statusError } from "./error.ts";
import { type Decoded, isOfKind, objectKey, type ResourceKind, resourceVersionOf } from "./kind.ts";
import { hasMissed } from "./missed.ts";
import { feelPulse } from "./pulse.ts";
import { readError, sendGet } from "./request.ts";

/** Where to watch from. */
export interface WatchOptions {
  /**
   * `undefined`: the newest state comes first, object by object, and a bookmark at its end. Only servers that
   * stream lists know of it.
   */
  readonly resourceVersion: string | undefined;
  readonly fieldSelector?: string;
  readonly signal: AbortSignal;
  /** After this time (seconds) the server ends the watch. */
  readonly timeoutSeconds: number;
  /** After this silence (ms) the watch ends. @default {90000} */
  readonly stallMs?: number;
  /** After this silence (ms) the server is asked whether the watch missed something. @default {25000} */
  readonly pulseMs?: number;
  /** How long that request may take (ms). @default {15000} */
  readonly pulseAnswerMs?: number;
}

/** One event; each carries the version to continue from. */
export type WatchEvent<T> =
  | {
    readonly type: "changed";
    readonly key: string;
    readonly item: Decoded<T>;
    readonly resourceVersion: string;
  }
  | { readonly type: "deleted"; readonly key: string; readonly resourceVersion: string }
  | {
    readonly type: "bookmark";
    readonly resourceVersion: string;
    /** Whether a streamed list is complete. */
    readonly isListEnd: boolean;
  };

/** The longest event that we read; the API server takes objects up to 1.5 MB. */
const LINE_BYTES_MAX = 8 << 20;
/** Bookmarks arrive about once a minute: a longer silence means a dead connection (ms). */
const STALL_MS = 90_000;
const PULSE_MS = 25_000;
/** Of a streamed list the next object or its end comes sooner: a server waits 3 s for its own cache. */
const STREAM_STALL_MS = 30_000;
/** `true` on the bookmark after the last object of a streamed list. */
const LIST_END = "k8s.io/initial-events-end";

/**
 * Watches `kind`; ends when the server ends the watch in peace, or nothing has come for `stallMs`.
 *
 * @throws {DatastoreError} with `isGone` when the version is too old; if the connection breaks; or if
 * nothing comes and the server does not answer, or has something that should have come
 */
export async function* watch<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const operation = `watch ${kind.name}`;
  const query = new URLSearchParams({
    watch: "1",
    allowWatchBookmarks: "true",
    timeoutSeconds: String(options.timeoutSeconds),
    ...(options.resourceVersion === undefined
      ? { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" }
      : { resourceVersion: options.resourceVersion }),
  });
  if (options.fieldSelector !== undefined) query.set("fieldSelector", options.fieldSelector);
  const { signal, stallMs = STALL_MS } = options;
  let isList = options.resourceVersion === undefined;
  let { resourceVersion } = options;
  const quietMs = (): number => isList ? Math.min(stallMs, STREAM_STALL_MS) : stallMs;
  using deadline = new Deadline(stallMs, signal);
  const response = await sendGet(api, `${kind.path}?${query}`, operation, deadline, signal);
  const { fieldSelector, pulseMs = PULSE_MS, pulseAnswerMs: answerMs } = options;
  const askWhyQuiet = async (): Promise<void> => {
    // While a list comes, its objects' versions are not where to go on from.
    if (isList || resourceVersion === undefined) return await feelPulse(api, answerMs);
    if (!await hasMissed(api, kind, { resourceVersion, fieldSelector, answerMs, signal })) return;
    api.dropConnections();
    throw new DatastoreError(
      `Cannot ${operation}: the connection to ${api.server} has died without a word: another one brings more`,
    );
  };
  const body = chunks(api, response, operation, deadline, {
    ...{ signal, quietMs, pulseMs, askWhyQuiet },
  });
  for await (const line of lines(body, operation)) {
    const event = parseEvent(kind, line, operation);
    if (event.type === "bookmark" && event.isListEnd) isList = false;
    ({ resourceVersion } = event);
    yield event;
  }
}

/** How a watch is read during silence. */
interface QuietOptions {
  readonly signal: AbortSignal;
  /** The silence (ms) after which the watch ends. */
  readonly quietMs: () => number;
  /** The silence (ms) after which, again and again, the server is asked why. */
  readonly pulseMs: number;
  /** Throws where the server has something that the watch did not bring. */
  readonly askWhyQuiet: () => Promise<void>;
}

/** The body's chunks; at the end, however it comes, the connection is closed. */
async function* chunks(
  api: ApiServer,
  response: Response,
  operation: string,
  deadline: Deadline,
  options: QuietOptions,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      deadline.extend(options.quietMs());
      const { done, value } = await readAlive(reader, options);
      if (done) return;
      yield value;
    }
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof DatastoreError || error instanceof CredentialsError) throw error;
    if (deadline.isOver) return api.dropConnections();
    throw readError(api, operation, deadline, error);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** The next chunk; during silence, the server is asked again and again whether one was missed. */
async function readAlive(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { pulseMs, askWhyQuiet }: QuietOptions,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  const next = reader.read();
  next.catch(() => {}); // it may end after us
  for (;;) {
    let timer: number | undefined;
    const quiet = new Promise<void>((resolve) => timer = setTimeout(resolve, pulseMs));
    const result = await Promise.race([next, quiet]).finally(() => clearTimeout(timer)) ??
      await Promise.race([next, askWhyQuiet()]);
    if (result !== undefined) return result;
  }
}

function parseEvent<T>(
  kind: ResourceKind<T>,
  line: string,
  operation: string,
): WatchEvent<T> {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw nonsense(operation, "is no JSON", cause);
  }
  if (!isRecord(event)) throw nonsense(operation, "is no object");
  if (event.type === "ERROR") throw statusError(operation, event.object);
  if (!isOfKind(kind, event.object)) throw nonsense(operation, `is about no ${kind.kind}`);
  const resourceVersion = resourceVersionOf(event.object);
  if (resourceVersion === undefined) throw nonsense(operation, "has no resourceVersion");
  if (event.type === "BOOKMARK") {
    return { type: "bookmark", resourceVersion, isListEnd: isListEnd(event.object) };
  }
  const key = objectKey(event.object);
  if (key === undefined) throw nonsense(operation, "has no name");
  if (event.type === "DELETED") return { type: "deleted", key, resourceVersion };
  if (event.type !== "ADDED" && event.type !== "MODIFIED") {
    throw nonsense(operation, "has an unknown type");
  }
  return { type: "changed", key, item: kind.decode(event.object), resourceVersion };
}

function isListEnd(bookmark: unknown): boolean {
  const metadata = isRecord(bookmark) ? bookmark.metadata : undefined;
  const annotations = isRecord(metadata) ? metadata.annotations : undefined;
  return isRecord(annotations) && annotations[LIST_END] === "true";
}

/** The error for an unusable event: only a new list shows the state. */
function nonsense(operation: string, what: string, cause?: unknown): DatastoreError {
  return new DatastoreError(`Cannot ${operation}: an event ${what}`, { mustList: true, cause });
}

async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  operation: string,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (;;) {
      const end = rest.indexOf("\n", start);
      if (end < 0) break;
      if (end > start) yield rest.slice(start, end);
      start = end + 1;
    }
    rest = rest.slice(start);
    if (rest.length > LINE_BYTES_MAX) {
      throw nonsense(operation, `is longer than ${LINE_BYTES_MAX} bytes`);
    }
  }
}
