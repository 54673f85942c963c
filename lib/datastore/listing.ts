/**
 * How a reflection comes by everything there is, which must never be older than what it has seen:
 *
 * - as a stream where the server has that: it is the newest state, out of the server's cache, and the watch
 *   that brings it goes on (KEP-3157);
 * - else, for the first time, whatever the server has in its cache (`resourceVersion=0`): agents that start
 *   all at once, after an upgrade, then cost etcd nothing. That may be a moment old, even older than what an
 *   agent before this one has seen; the watch from there brings the rest. So does client-go's Reflector
 *   (`relistResourceVersion()`), and with it every component of a node;
 * - else, and whenever there is something to go back from, in pages of the newest state, which an etcd
 *   behind the server is asked for.
 */

import type { Logger } from "../base/log.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { DatastoreError } from "./error.ts";
import type { Decoded, ResourceKind } from "./kind.ts";
import { listAll } from "./list.ts";
import type { ReflectHandler } from "./reflect_handler.ts";
import { mayStream, rememberRefusal } from "./stream_support.ts";
import { watch, type WatchEvent, type WatchOptions } from "./watch.ts";

/** How to list and, for a stream, to watch on. */
export interface ListingOptions {
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly pageSize?: number;
  readonly fieldSelector?: string;
}

/** The result of a list whose objects the handler has. */
export interface Listed<T> {
  readonly resourceVersion: string;
  /** The watch that streamed the list, which the caller continues and ends; `undefined`: the caller begins one. */
  readonly events: AsyncGenerator<WatchEvent<T>> | undefined;
}

/** The lists of one reflection. */
export class Listing<T> {
  readonly #api: ApiServer;
  readonly #options: ListingOptions;
  /** Whether a list has succeeded before: then an older state can be recognised. */
  #hasListed = false;
  /** Whether the server's cache may be out of date, as after a restored backup. */
  #isCacheDoubted = false;
  /** Whether the last stream failed, so that pages are tried, which cost a server less. */
  #hasStreamFailed = false;

  constructor(api: ApiServer, options: ListingOptions) {
    this.#api = api;
    this.#options = options;
  }

  /** The next list is not read out of the server's cache. */
  doubtCache(): void {
    this.#isCacheDoubted = true;
  }

  /**
   * Lists all objects and gives them to `handler`.
   *
   * @param watchOptions of the watch that continues after a stream
   * @throws {DatastoreError | CredentialsError} if the list fails; then `handler` was given nothing
   */
  async list(
    kind: ResourceKind<T>,
    handler: Pick<ReflectHandler<T>, "onReplace">,
    watchOptions: WatchOptions,
  ): Promise<Listed<T>> {
    const listed = await this.#stream(kind, handler, watchOptions) ??
      { resourceVersion: await this.#read(kind, handler), events: undefined };
    this.#hasListed = true;
    this.#isCacheDoubted = false;
    this.#hasStreamFailed = false;
    return listed;
  }

  async #read(
    kind: ResourceKind<T>,
    handler: Pick<ReflectHandler<T>, "onReplace">,
  ): Promise<string> {
    const { signal, pageSize, fieldSelector } = this.#options;
    const fromCache = !this.#hasListed && !this.#isCacheDoubted;
    const { items, resourceVersion } = await listAll(this.#api, kind, {
      signal,
      ...(pageSize === undefined ? {} : { limit: pageSize }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(fromCache ? { resourceVersion: "0" } : {}),
    });
    handler.onReplace(items);
    return resourceVersion;
  }

  /** `undefined` where the server has no streams. */
  async #stream(
    kind: ResourceKind<T>,
    handler: Pick<ReflectHandler<T>, "onReplace">,
    watchOptions: WatchOptions,
  ): Promise<Listed<T> | undefined> {
    const { signal, logger } = this.#options;
    if (this.#isCacheDoubted || this.#hasStreamFailed) return undefined;
    if (!await mayStream(this.#api, `list ${kind.name}`, signal)) return undefined;
    const events = watch(this.#api, kind, watchOptions);
    try {
      const { items, resourceVersion } = await readAll(events, kind);
      handler.onReplace(items);
      return { resourceVersion, events };
    } catch (error) {
      await events.return(undefined);
      if (!(error instanceof DatastoreError)) throw error;
      // A server whose etcd cannot report its progress (before 3.4.31 and 3.5.13) sends a 500 in the stream.
      const isRefused = error.status === 400 || error.status === 422 ||
        (error.mustList && error.status === 500);
      if (isRefused && rememberRefusal(this.#api)) {
        logger.info("API server does not stream lists", { reason: error.message });
      }
      // A server that answers so serves lists: as in client-go, the list follows at once.
      if (isRefused || error.mustList) return undefined;
      this.#hasStreamFailed = true;
      throw error;
    }
  }
}

/** Every object of a stream, once its bookmark says that it is complete. */
async function readAll<T>(
  events: AsyncGenerator<WatchEvent<T>>,
  kind: ResourceKind<T>,
): Promise<{ items: Map<string, Decoded<T>>; resourceVersion: string }> {
  const items = new Map<string, Decoded<T>>();
  for (;;) {
    // Not by for await, which would end the watch with the loop.
    const { done, value: event } = await events.next();
    if (done === true) {
      throw new DatastoreError(
        `Cannot list ${kind.name}: the API server's stream ended before all objects had come`,
      );
    }
    if (event.type === "changed") items.set(event.key, event.item);
    else if (event.type === "deleted") items.delete(event.key);
    else if (event.isListEnd) return { items, resourceVersion: event.resourceVersion };
  }
}
