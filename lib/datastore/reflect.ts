/**
 * Keeps a reader up to date with every object of a kind, for ever: one list, then watches from where
 * the last one ended; a list again only when the server no longer knows that place (410 Gone). What
 * fails is tried again, ever more slowly, at random moments.
 */

import { type Clock, systemClock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { backoffDelayMs } from "../base/retry.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { DatastoreError } from "./error.ts";
import type { Decoded, ResourceKind } from "./kind.ts";
import { listAll } from "./list.ts";
import { watch } from "./watch.ts";

/** Who is told. */
export interface ReflectHandler<T> {
  /** Everything there is; what is not among it is gone. */
  onReplace(items: ReadonlyMap<string, Decoded<T>>): void;
  /** One object came or changed; `undefined`: it went. */
  onUpdate(key: string, item: Decoded<T> | undefined): void;
  onState?(state: "listing" | "watching" | "failed", detail: string | undefined): void;
}

export interface ReflectOptions {
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
  readonly pageSize?: number;
  readonly fieldSelector?: string;
  /** @default {300} */
  readonly watchTimeoutSeconds?: number;
}

/** A server that ends its watches at once must not be asked at once again. */
const WATCH_MS_MIN = 1_000;
const BACKOFF = { delayMsMin: 250, delayMsMax: 30_000 };

/** Reflects `kind` until the signal aborts; it never throws for what a server or network does. */
export async function reflect<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  handler: ReflectHandler<T>,
  options: ReflectOptions,
): Promise<void> {
  const { signal, logger, clock = systemClock, random = Math.random } = options;
  let resourceVersion: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (resourceVersion === undefined) {
        handler.onState?.("listing", undefined);
        resourceVersion = await list(api, kind, handler, options);
        failures = 0;
      }
      handler.onState?.("watching", undefined);
      const startMs = clock.nowMs();
      const events = watch(api, kind, watchOptions(options, resourceVersion, random()));
      for await (const event of events) {
        failures = 0;
        resourceVersion = event.resourceVersion;
        if (event.type === "changed") handler.onUpdate(event.key, event.item);
        else if (event.type === "deleted") handler.onUpdate(event.key, undefined);
      }
      if (clock.nowMs() - startMs < WATCH_MS_MIN) {
        await clock.sleep(delayOf(undefined, failures++, random()), signal).catch(() => {});
      }
    } catch (error) {
      if (signal.aborted) break;
      if (error instanceof DatastoreError && error.isGone) {
        logger.info("watch too old; listing again", { resourceVersion });
        resourceVersion = undefined;
        if (failures++ === 0) continue;
      }
      const delayMs = delayOf(error, failures++, random());
      const detail = error instanceof Error ? error.message : String(error);
      handler.onState?.("failed", detail);
      logger.warn("API server not reached; trying again", { error: detail, delayMs, failures });
      await clock.sleep(delayMs, signal).catch(() => {});
    }
  }
}

async function list<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  handler: ReflectHandler<T>,
  { signal, pageSize, fieldSelector }: ReflectOptions,
): Promise<string> {
  const { items, resourceVersion } = await listAll(api, kind, {
    signal,
    ...(pageSize === undefined ? {} : { limit: pageSize }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  });
  handler.onReplace(items);
  return resourceVersion;
}

/** Watches of many agents must not all end in the same second. */
function watchOptions(
  { signal, fieldSelector, watchTimeoutSeconds = 300 }: ReflectOptions,
  resourceVersion: string,
  random: number,
): Parameters<typeof watch>[2] {
  return {
    signal,
    resourceVersion,
    timeoutSeconds: Math.max(1, Math.round(watchTimeoutSeconds * (1 + random))),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

/** The server's own wish counts, with some chance on top so that not all come back at once. */
function delayOf(error: unknown, failures: number, random: number): number {
  const delayMs = backoffDelayMs(failures, BACKOFF, random);
  const wish = error instanceof DatastoreError ? error.retryAfterMs : undefined;
  return wish === undefined ? delayMs : Math.min(wish + delayMs, 2 * BACKOFF.delayMsMax);
}
