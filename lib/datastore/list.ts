/** Lists in pages, so that neither side holds 10,000 objects' JSON at once. */

import type { ApiServer } from "../credentials/api_server.ts";
import { DatastoreError, isRecord } from "./error.ts";
import { type Decoded, objectKey, type ResourceKind, resourceVersionOf } from "./kind.ts";
import { getJson } from "./request.ts";

/** What to list. */
export interface ListOptions {
  /** Objects a page; 0 for all on one. @default {500} */
  readonly limit?: number;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
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

/**
 * Lists all objects of `kind`. A list whose next page has expired starts again; at last it is asked for
 * in one piece, which cannot expire.
 *
 * @throws {DatastoreError} if the server refuses, does not answer, or answers nonsense
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
    const page = await getJson(api, pathOf(kind, options, continuation), operation, options.signal);
    const list = isRecord(page) && Array.isArray(page.items) ? page : undefined;
    const resourceVersion = resourceVersionOf(list);
    if (list === undefined || resourceVersion === undefined) {
      throw new DatastoreError(
        `Cannot ${operation}: what answers at ${api.server} is no Kubernetes API server`,
      );
    }
    for (const object of list.items as unknown[]) {
      const key = objectKey(object);
      if (key !== undefined) items.set(key, kind.decode(object));
    }
    continuation = continuationOf(list);
    if (continuation === undefined) return { items, resourceVersion };
  }
}

function pathOf<T>(
  kind: ResourceKind<T>,
  { limit = LIMIT_DEFAULT, fieldSelector, labelSelector }: ListOptions,
  continuation: string | undefined,
): string {
  const query = new URLSearchParams(limit === 0 ? {} : { limit: String(limit) });
  if (fieldSelector !== undefined) query.set("fieldSelector", fieldSelector);
  if (labelSelector !== undefined) query.set("labelSelector", labelSelector);
  if (continuation !== undefined) query.set("continue", continuation);
  return `${kind.path}?${query}`;
}

function continuationOf(list: Record<string, unknown>): string | undefined {
  const token = isRecord(list.metadata) ? list.metadata.continue : undefined;
  return typeof token === "string" && token !== "" ? token : undefined;
}
