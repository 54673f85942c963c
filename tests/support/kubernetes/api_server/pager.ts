/** Lists: selection, pages by `limit` and `continue`, over a snapshot that later pages share. */

import type { Collection } from "./collection.ts";
import { keyOf, type KubernetesObject, textOf } from "./object.ts";
import type { Match } from "./selector.ts";
import { StatusError } from "./status.ts";

/** What part of a list is asked for. */
export interface ListRequest {
  readonly namespace: string | undefined;
  readonly match: Match | undefined;
  readonly query: URLSearchParams;
}

interface Token {
  /** resourceVersion of the snapshot; -1 for whatever is there now. */
  readonly rv: number;
  /** The page starts behind this key. */
  readonly after: string;
}

/** How many snapshots stay available for their next pages. */
const SNAPSHOTS_MAX = 32;

/** Makes pages; keeps the snapshots of unfinished lists. */
export class Pager {
  readonly #snapshots = new Map<string, readonly KubernetesObject[]>();

  /** Forgets all snapshots: every continue token is too old. */
  expire(): void {
    this.#snapshots.clear();
  }

  /**
   * The list as JSON text.
   *
   * @throws {StatusError} 400 or 500 for a bad query, 410 for a token that is too old
   */
  list(collection: Collection, currentVersion: number, request: ListRequest): string {
    const { namespace, match, query } = request;
    const limit = parseCount(query, "limit");
    const text = query.get("continue") ?? "";
    const asked = query.get("resourceVersion") ?? "";
    if (text !== "" && asked !== "" && asked !== "0") {
      throw new StatusError("BadRequest", "resourceVersion may not stand beside continue");
    }
    if (asked !== "" && parseVersion(asked) > currentVersion) {
      throw new StatusError("Timeout", `Too large resource version: ${asked}`, {
        causes: [{
          reason: "ResourceVersionTooLarge",
          message: "Too large resource version",
        }],
        retryAfterSeconds: 1,
      });
    }
    const token = text === "" ? undefined : parseToken(text);
    const version = token === undefined || token.rv < 0 ? currentVersion : token.rv;
    const all = token === undefined || token.rv < 0
      ? collection.snapshot()
      : this.#resume(collection, token);
    const wanted = all.filter((it) =>
      (namespace === undefined || it.metadata.namespace === namespace) &&
      (match === undefined || match(it))
    );
    const rest = token === undefined ? wanted : wanted.filter((it) => keyOf(it) > token.after);
    // With resourceVersion=0 the real server answers from its cache, which knows no pages.
    const page = limit === 0 || (asked === "0" && token === undefined)
      ? rest
      : rest.slice(0, limit);
    const last = page.at(-1);
    const metadata: Record<string, unknown> = { resourceVersion: String(version) };
    if (page.length < rest.length && last !== undefined) {
      this.#keep(collection, version, all);
      metadata.continue = formatToken({ rv: version, after: keyOf(last) });
      if (match === undefined) metadata.remainingItemCount = rest.length - page.length;
    }
    return formatList(collection, metadata, page);
  }

  #resume(collection: Collection, token: Token): readonly KubernetesObject[] {
    const snapshot = this.#snapshots.get(snapshotKey(collection, token.rv));
    if (snapshot !== undefined) return snapshot;
    throw new StatusError(
      "Expired",
      "The continue token is too old: list again from the start, or go on inconsistently with the " +
        "token of this answer",
      undefined,
      { continue: formatToken({ rv: -1, after: token.after }) },
    );
  }

  #keep(collection: Collection, version: number, all: readonly KubernetesObject[]): void {
    const key = snapshotKey(collection, version);
    this.#snapshots.delete(key);
    this.#snapshots.set(key, all);
    for (const oldest of this.#snapshots.keys()) {
      if (this.#snapshots.size <= SNAPSHOTS_MAX) break;
      this.#snapshots.delete(oldest);
    }
  }
}

/** A list as JSON text. Its items name no kind, as with the real server, but for custom resources. */
export function formatList(
  collection: Collection,
  metadata: Record<string, unknown>,
  items: readonly KubernetesObject[],
): string {
  const { kind, apiVersion } = collection;
  const head = `{"kind":"${kind.kind}","apiVersion":"${apiVersion}",`;
  const texts = items.map((item) => {
    const text = textOf(item);
    return kind.custom === true || !text.startsWith(head) ? text : "{" + text.slice(head.length);
  });
  return `{"kind":"${kind.kind}List","apiVersion":"${apiVersion}",` +
    `"metadata":${JSON.stringify(metadata)},"items":[${texts.join(",")}]}`;
}

/**
 * Parses a resourceVersion.
 *
 * @throws {StatusError} 500, as the real server has it, if it is no unsigned number
 */
export function parseVersion(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new StatusError("Unknown", `Invalid value: "${text}": not a resourceVersion`);
}

/**
 * Parses a number of the query; 0 where it is not given.
 *
 * @throws {StatusError} 400 if it is no unsigned number
 */
export function parseCount(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "";
  if (/^\d{0,15}$/.test(text)) return Number(text);
  throw new StatusError("BadRequest", `Invalid value: "${text}": ${name} must be a number`);
}

function snapshotKey({ kind }: Collection, version: number): string {
  return `${kind.plural}.${kind.group}/${kind.version}@${version}`;
}

function formatToken(token: Token): string {
  const bytes = new TextEncoder().encode(JSON.stringify(token));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function parseToken(text: string): Token {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    const { rv, after } = JSON.parse(new TextDecoder().decode(bytes));
    if (Number.isInteger(rv) && typeof after === "string") return { rv, after };
  } catch {
    // Said below.
  }
  throw new StatusError("BadRequest", "continue key is not valid");
}
