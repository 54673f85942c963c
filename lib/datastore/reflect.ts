/**
 * Keeps a reader up to date with every object of a kind, for ever: one list (`listing.ts`), then watches from
 * where the last one ended; a list again only when the server no longer knows that place (410 Gone). What
 * fails is tried again, ever more slowly, at random moments.
 *
 * Of a kind that has several versions the reader sees the first that server and decoder have in common
 * (`served_version.ts`), asked for again at the end of each watch. What was read stays until something else was:
 * neither a version that goes nor one that cannot be read takes an object away.
 */

import { type Clock, systemClock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { backoffDelayMs } from "../base/retry.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { CredentialsError } from "../credentials/error.ts";
import { DatastoreError } from "./error.ts";
import { type ResourceKind, resourceVersionOf, type VersionedKind } from "./kind.ts";
import { Listing } from "./listing.ts";
import type { ReflectHandler } from "./reflect_handler.ts";
import { getJson } from "./request.ts";
import { ServedVersion } from "./served_version.ts";
import { watch, type WatchEvent } from "./watch.ts";

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
  /** After this silence (ms) a watch is restarted. @default {90000} */
  readonly stallMs?: number;
  /** After this silence (ms) a small request tests whether the server answers. @default {25000} */
  readonly pulseMs?: number;
  /** How long that request may take (ms). @default {15000} */
  readonly pulseAnswerMs?: number;
}

/** The pause after a watch that ended at once (ms). */
const WATCH_MS_MIN = 1_000;
/** How often a kind that the server does not serve is asked for again, at least. */
const ABSENT_MS = 5_000;
const BACKOFF = { delayMsMin: 250, delayMsMax: 30_000 };

/**
 * Reflects `kind` until the signal aborts; it never throws for what a server or network does.
 *
 * @throws what the handler throws: programmer errors
 */
export async function reflect<T>(
  api: ApiServer,
  kind: ResourceKind<T> | VersionedKind<T>,
  handler: ReflectHandler<T>,
  options: ReflectOptions,
): Promise<void> {
  const { signal, logger, clock = systemClock, random = Math.random } = options;
  const version = "path" in kind ? undefined : new ServedVersion(api, kind, handler, options);
  const listing = new Listing<T>(api, options);
  let resourceVersion: string | undefined;
  let failures = 0;
  /** Whether the last watch was too old from its beginning. */
  let isGone = false;
  while (!signal.aborted) {
    try {
      const before = version?.kind;
      const current = "path" in kind ? kind : await version?.choose();
      if (version !== undefined && (current === undefined || current.path !== before?.path)) {
        resourceVersion = undefined;
      }
      if (current === undefined) {
        failures = 0;
        await clock.sleep(ABSENT_MS * (1 + random()), signal).catch(() => {});
        continue;
      }
      let events: AsyncGenerator<WatchEvent<T>> | undefined;
      if (resourceVersion === undefined) {
        handler.onState?.("listing", undefined);
        // Failures stay counted: a list that works between failing watches must not end the back-off.
        const stream = watchOptions(options, undefined, random());
        ({ resourceVersion, events } = await listing.list(current, version ?? handler, stream));
        handler.onHeard?.();
      } else if (await isBehind(api, current, resourceVersion, signal)) {
        logger.warn("API server went back to an older state; listing again", { resourceVersion });
        resourceVersion = undefined;
        listing.doubtCache();
        continue;
      }
      handler.onState?.("watching", undefined);
      const startMs = clock.nowMs();
      events ??= watch(api, current, watchOptions(options, resourceVersion, random()));
      for await (const event of events) {
        failures = 0;
        isGone = false;
        resourceVersion = event.resourceVersion;
        handler.onHeard?.();
        if (event.type === "changed") (version ?? handler).onUpdate(event.key, event.item);
        else if (event.type === "deleted") (version ?? handler).onUpdate(event.key, undefined);
      }
      if (clock.nowMs() - startMs < WATCH_MS_MIN) {
        await clock.sleep(delayOf(undefined, failures++, random()), signal).catch(() => {});
      } else failures = 0;
      isGone = false;
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof DatastoreError || error instanceof CredentialsError)) throw error;
      if (error instanceof DatastoreError && error.isGone) {
        logger.info("watch too old; listing again", { resourceVersion });
        resourceVersion = undefined;
        // Listed at once, even after a long outage; if the new watch is too old again, with back-off.
        if (!isGone) {
          isGone = true;
          continue;
        }
      }
      if (error instanceof DatastoreError && error.mustList) resourceVersion = undefined;
      if (error instanceof DatastoreError && error.status === 404 && version !== undefined) {
        version.leave();
        if (failures === 0) {
          failures++;
          continue;
        }
      }
      const delayMs = delayOf(error, failures++, random());
      const detail = error.message;
      handler.onState?.("failed", detail);
      logger.warn(`${problemOf(error)}; trying again`, { error: detail, delayMs, failures });
      await clock.sleep(delayMs, signal).catch(() => {});
    }
  }
}

/** The kind of a failure, for the log. */
function problemOf(error: DatastoreError | CredentialsError): string {
  if (error instanceof CredentialsError) return "credentials cannot be used";
  if (error.status === 401 || error.status === 403) return "API server refuses";
  return error.status === undefined && !error.mustList
    ? "API server not reached"
    : "API server answers with an error";
}

/**
 * Whether the server's newest version is older than ours: its data is from a backup, and what it tells
 * from our version on is nothing (API concepts, "Resource versions": they order changes of a kind).
 */
async function isBehind<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  resourceVersion: string,
  signal: AbortSignal,
): Promise<boolean> {
  // Not out of a server's cache, which may lag behind.
  const newest = resourceVersionOf(
    await getJson(api, `${kind.path}?limit=1`, `list ${kind.name}`, signal),
  );
  const [own, theirs] = [resourceVersion, newest].map((it) =>
    /^\d+$/.test(it ?? "") ? it : undefined
  );
  return own !== undefined && theirs !== undefined && BigInt(theirs) < BigInt(own);
}

/** Watches of many agents must not all end in the same second. */
function watchOptions(
  options: ReflectOptions,
  resourceVersion: string | undefined,
  random: number,
): Parameters<typeof watch>[2] {
  const { signal, fieldSelector, watchTimeoutSeconds = 300 } = options;
  const { stallMs, pulseMs, pulseAnswerMs } = options;
  return {
    signal,
    resourceVersion,
    timeoutSeconds: Math.max(1, Math.round(watchTimeoutSeconds * (1 + random))),
    ...(stallMs === undefined ? {} : { stallMs }),
    ...(pulseMs === undefined ? {} : { pulseMs }),
    ...(pulseAnswerMs === undefined ? {} : { pulseAnswerMs }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

/** Retry-After counts, with random jitter so that not all agents return at once. */
function delayOf(error: unknown, failures: number, random: number): number {
  const delayMs = backoffDelayMs(failures, BACKOFF, random);
  const wish = error instanceof DatastoreError ? error.retryAfterMs : undefined;
  return wish === undefined ? delayMs : Math.min(wish + delayMs, 2 * BACKOFF.delayMsMax);
}
