/** One watch: events of a kind after a resource version, until the server or the caller ends it. */

import type { ApiServer } from "../credentials/api_server.ts";
import { DatastoreError, isRecord, statusError } from "./error.ts";
import { type Decoded, objectKey, type ResourceKind, resourceVersionOf } from "./kind.ts";
import { sendGet } from "./request.ts";

/** Where to watch from. */
export interface WatchOptions {
  readonly resourceVersion: string;
  readonly fieldSelector?: string;
  readonly signal: AbortSignal;
  /** The server ends the watch after so long. */
  readonly timeoutSeconds: number;
}

/** What happened; each carries the version to go on from. */
export type WatchEvent<T> =
  | {
    readonly type: "changed";
    readonly key: string;
    readonly item: Decoded<T>;
    readonly resourceVersion: string;
  }
  | { readonly type: "deleted"; readonly key: string; readonly resourceVersion: string }
  | { readonly type: "bookmark"; readonly resourceVersion: string };

/** The longest event that we read; the API server takes objects up to 1.5 MB. */
const LINE_BYTES_MAX = 8 << 20;
/** Silence for so much longer than the server's own end means that nobody is there any more. */
const GRACE_MS = 15_000;

/**
 * Watches `kind`; ends when the server ends the watch in peace.
 *
 * @throws {DatastoreError} with `isGone` when the version is too old; or if the connection breaks
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
    resourceVersion: options.resourceVersion,
    timeoutSeconds: String(options.timeoutSeconds),
  });
  if (options.fieldSelector !== undefined) query.set("fieldSelector", options.fieldSelector);
  const stalled = AbortSignal.timeout(options.timeoutSeconds * 1000 + GRACE_MS);
  const signal = AbortSignal.any([options.signal, stalled]);
  const response = await sendGet(api, `${kind.path}?${query}`, operation, signal);
  for await (const line of lines(response, operation)) {
    const event = parseEvent(kind, line, operation);
    if (event !== undefined) yield event;
  }
}

function parseEvent<T>(
  kind: ResourceKind<T>,
  line: string,
  operation: string,
): WatchEvent<T> | undefined {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new DatastoreError(`Cannot ${operation}: an event is no JSON`, { cause });
  }
  if (!isRecord(event)) return undefined;
  if (event.type === "ERROR") throw statusError(operation, event.object);
  const resourceVersion = resourceVersionOf(event.object);
  if (resourceVersion === undefined) return undefined;
  if (event.type === "BOOKMARK") return { type: "bookmark", resourceVersion };
  const key = objectKey(event.object);
  if (key === undefined) return undefined;
  if (event.type === "DELETED") return { type: "deleted", key, resourceVersion };
  if (event.type !== "ADDED" && event.type !== "MODIFIED") return undefined;
  return { type: "changed", key, item: kind.decode(event.object), resourceVersion };
}

async function* lines(response: Response, operation: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body ?? []) {
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
      throw new DatastoreError(
        `Cannot ${operation}: an event is longer than ${LINE_BYTES_MAX} bytes`,
      );
    }
  }
}
