/**
 * Lists in pages, so that neither side holds 10,000 objects' JSON at once; and each answer item by item,
 * for a server that answers out of its cache knows no pages.
 */

import { isRecord } from "../base/json.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { DatastoreError } from "./error.ts";
import {
  apiVersionOf,
  type Decoded,
  isOfKind,
  objectKey,
  type ResourceKind,
  resourceVersionOf,
} from "./kind.ts";
import { ListText } from "./list_text.ts";
import { getText } from "./request.ts";

/** What to list. */
export interface ListOptions {
  /** Objects a page; 0 for all on one. @default {500} */
  readonly limit?: number;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /**
   * `0`: any that the server has in its cache, which may be old, and comes in one piece (API concepts,
   * "Semantics for get and list"). @default {the newest}
   */
  readonly resourceVersion?: "0";
  readonly signal?: AbortSignal;
}

/** Every object, by key, as of one resource version. */
export interface ListResult<T> {
  readonly items: Map<string, Decoded<T>>;
  readonly resourceVersion: string;
}

/** How often a list is asked for because its continuation expired; the last time in one piece. */
const ATTEMPTS_MAX = 3;
const LIMIT_DEFAULT = 500;
/** How many characters of a wrong value go into a message. */
const SHOWN_LENGTH_MAX = 80;

/**
 * Lists all objects of `kind`. A list whose next page has expired starts again; at last it is asked for
 * in one piece, which cannot expire.
 *
 * @throws {DatastoreError} if the server refuses, does not answer, or answers what is no list of `kind`
 * (API conventions, "Types (Kinds)": each list names its kind and version)
 */
export async function listAll<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  options: ListOptions = {},
): Promise<ListResult<T>> {
  for (let attempt = 1;; attempt++) {
    try {
      return await listOnce(
        api,
        kind,
        attempt === ATTEMPTS_MAX ? { ...options, limit: 0 } : options,
      );
    } catch (error) {
      const isExpired = error instanceof DatastoreError && error.isGone;
      if (!isExpired || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

async function listOnce<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  options: ListOptions,
): Promise<ListResult<T>> {
  const items = new Map<string, Decoded<T>>();
  const operation = `list ${kind.name}`;
  let continuation: string | undefined;
  for (;;) {
    const path = pathOf(kind, options, continuation);
    const list = await readPage(api, path, operation, options.signal, (object, index) => {
      const key = isOfKind(kind, object) ? objectKey(object) : undefined;
      if (key === undefined) {
        const shown = (JSON.stringify(object) ?? "").slice(0, SHOWN_LENGTH_MAX);
        throw refusal(operation, `its items[${index}] is no ${kind.kind} with a name: ${shown}`);
      }
      items.set(key, kind.decode(object));
    });
    const resourceVersion = resourceVersionOf(list);
    if (!isRecord(list) || !Array.isArray(list.items) || resourceVersion === undefined) {
      throw noApiServer(api, operation);
    }
    requireListOf(kind, list, operation);
    continuation = continuationOf(list);
    if (continuation === undefined) return { items, resourceVersion };
  }
}

/** One page without its items, each of which `onItem` has been given. */
async function readPage(
  api: ApiServer,
  path: string,
  operation: string,
  signal: AbortSignal | undefined,
  onItem: (object: unknown, index: number) => void,
): Promise<unknown> {
  let index = 0;
  const text = new ListText((object) => onItem(object, index++));
  try {
    for await (const piece of getText(api, path, operation, signal)) text.push(piece);
    return text.end();
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof RangeError)) throw cause;
    throw noApiServer(api, operation, cause);
  }
}

function noApiServer(api: ApiServer, operation: string, cause?: unknown): DatastoreError {
  return new DatastoreError(
    `Cannot ${operation}: what answers at ${api.server} is no Kubernetes API server`,
    { cause },
  );
}

/** A list of another kind or version is refused, so that it does not count as an empty list. */
function requireListOf<T>(
  kind: ResourceKind<T>,
  list: Record<string, unknown>,
  operation: string,
): void {
  const [expected, apiVersion] = [`${kind.kind}List`, apiVersionOf(kind.path)];
  if (list.kind === expected && list.apiVersion === apiVersion) return;
  const given = [list.apiVersion, list.kind].map((it) => JSON.stringify(it) ?? "none").join(" ");
  throw refusal(
    operation,
    `it is no ${expected} of ${apiVersion}, but says ${given.slice(0, SHOWN_LENGTH_MAX)}`,
  );
}

/** A malformed list is refused, and the earlier objects stay. */
function refusal(operation: string, why: string): DatastoreError {
  return new DatastoreError(`Cannot ${operation}: the API server's list is refused, ${why}`);
}

function pathOf<T>(
  kind: ResourceKind<T>,
  { limit = LIMIT_DEFAULT, fieldSelector, labelSelector, resourceVersion }: ListOptions,
  continuation: string | undefined,
): string {
  const query = new URLSearchParams(limit === 0 ? {} : { limit: String(limit) });
  if (fieldSelector !== undefined) query.set("fieldSelector", fieldSelector);
  if (labelSelector !== undefined) query.set("labelSelector", labelSelector);
  // A later page has the version of the first: a server refuses a version and a continuation together.
  if (continuation !== undefined) query.set("continue", continuation);
  else if (resourceVersion !== undefined) query.set("resourceVersion", resourceVersion);
  return `${kind.path}?${query}`;
}

function continuationOf(list: Record<string, unknown>): string | undefined {
  const token = isRecord(list.metadata) ? list.metadata.continue : undefined;
  return typeof token === "string" && token !== "" ? token : undefined;
}
