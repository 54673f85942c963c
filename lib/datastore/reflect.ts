/**
 * Keeps a reader up to date with every object of a kind, for ever: one list, then watches from where
 * the last one ended; a list again only when the server no longer knows that place (410 Gone). What
 * fails is tried again, ever more slowly, at random moments.
 */

import { type Clock, systemClock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { backoffDelayMs } from "../base/retry.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { CredentialsError } from "../credentials/error.ts";
import { DatastoreError } from "./error.ts";
import type { Decoded, ResourceKind } from "./kind.ts";
import { listAll } from "./list.ts";
import { getJson } from "./request.ts";
import { watch } from "./watch.ts";

/** What a reflection is doing; `absent`: the server does not know the kind. */
export type ReflectState = "listing" | "watching" | "failed" | "absent";

/** Who is told. */
export interface ReflectHandler<T> {
  /** Everything there is; what is not among it is gone. */
  onReplace(items: ReadonlyMap<string, Decoded<T>>): void;
  /** One object came or changed; `undefined`: it went. */
  onUpdate(key: string, item: Decoded<T> | undefined): void;
  onState?(state: ReflectState, detail: string | undefined): void;
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
  /** Whether the server may not know the kind (404): then there is none, until it does. */
  readonly isOptional?: boolean;
  /** When nothing has come for so long, a watch is begun again. @default {150000} */
  readonly stallMs?: number;
}

/** A server that ends its watches at once must not be asked at once again. */
const WATCH_MS_MIN = 1_000;
/** How often a kind that the server does not know is asked for again, at least. */
const ABSENT_MS = 5_000;
const BACKOFF = { delayMsMin: 250, delayMsMax: 30_000 };

/**
 * Reflects `kind` until the signal aborts; it never throws for what a server or network does.
 *
 * @throws what the handler throws: programmer errors
 */
export async function reflect<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  handler: ReflectHandler<T>,
  options: ReflectOptions,
): Promise<void> {
  const { signal, logger, clock = systemClock, random = Math.random } = options;
  let resourceVersion: string | undefined;
  let failures = 0;
  let said = "";
  while (!signal.aborted) {
    try {
      if (resourceVersion === undefined) {
        handler.onState?.("listing", undefined);
        // Failures still count: lists that work between watches that fail must not come at once.
        resourceVersion = await list(api, kind, handler, options);
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
      } else failures = 0;
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof DatastoreError || error instanceof CredentialsError)) throw error;
      if (error instanceof DatastoreError && error.isGone) {
        logger.info("watch too old; listing again", { resourceVersion });
        resourceVersion = undefined;
        if (failures === 0) {
          failures++;
          continue;
        }
      }
      if (error instanceof DatastoreError && error.mustList) resourceVersion = undefined;
      const isUnknown = error instanceof DatastoreError && error.status === 404;
      const absence = options.isOptional === true && isUnknown
        ? await absenceOf(api, kind, signal)
        : undefined;
      if (absence !== undefined) {
        resourceVersion = undefined;
        failures = 0;
        handler.onReplace(new Map());
        handler.onState?.("absent", absence);
        // Asked for again and again; said once.
        if (absence !== "" && absence !== said) {
          logger.warn("kind not watched", { reason: absence });
        }
        said = absence;
        await clock.sleep(ABSENT_MS * (1 + random()), signal).catch(() => {});
        continue;
      }
      const delayMs = delayOf(error, failures++, random());
      const detail = error.message;
      handler.onState?.("failed", detail);
      logger.warn("API server not reached; trying again", { error: detail, delayMs, failures });
      await clock.sleep(delayMs, signal).catch(() => {});
    }
  }
}

/**
 * Whether the server itself says that it does not serve the kind: a 404 may also be a proxy's, and must
 * not make policies vanish.
 *
 * @returns `undefined` if it serves the kind, or does not say; otherwise what people should know: of
 * other versions, whose objects nobody reads
 */
async function absenceOf<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const [, , group, version, plural] = kind.path.split("/");
  try {
    const { groups } = await getJson(api, "/apis", "read the API groups", signal) as {
      groups?: { name?: unknown; versions?: { groupVersion?: unknown }[] }[];
    };
    if (!Array.isArray(groups) || groups.length === 0) return undefined;
    const versions = (groups.find((it) => it?.name === group)?.versions ?? [])
      .map((it) => it?.groupVersion);
    const groupVersion = `${group}/${version}`;
    if (versions.length > 0 && !versions.includes(groupVersion)) {
      return `The API server serves ${versions.join(", ")} and not ${groupVersion}: ` +
        `${plural} of other versions do not count`;
    }
    if (versions.length === 0) return "";
    const { resources } = await getJson(api, `/apis/${groupVersion}`, "read the API", signal) as {
      resources?: { name?: unknown }[];
    };
    if (!Array.isArray(resources)) return undefined;
    return resources.some((it) => it?.name === plural) ? undefined : "";
  } catch {
    return undefined;
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
  { signal, fieldSelector, watchTimeoutSeconds = 300, stallMs }: ReflectOptions,
  resourceVersion: string,
  random: number,
): Parameters<typeof watch>[2] {
  return {
    signal,
    resourceVersion,
    timeoutSeconds: Math.max(1, Math.round(watchTimeoutSeconds * (1 + random))),
    ...(stallMs === undefined ? {} : { stallMs }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

/** The server's own wish counts, with some chance on top so that not all come back at once. */
function delayOf(error: unknown, failures: number, random: number): number {
  const delayMs = backoffDelayMs(failures, BACKOFF, random);
  const wish = error instanceof DatastoreError ? error.retryAfterMs : undefined;
  return wish === undefined ? delayMs : Math.min(wish + delayMs, 2 * BACKOFF.delayMsMax);
}
