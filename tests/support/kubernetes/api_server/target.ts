/** What a request's path names: a collection, an object in it, a subresource of that. */

import type { Collection } from "./collection.ts";
import { StatusError } from "./status.ts";
import type { Store } from "./store.ts";

/** The part of the API that a path names. */
export interface Target {
  readonly collection: Collection;
  /** `undefined` for all namespaces, and for kinds that are in none. */
  readonly namespace: string | undefined;
  /** `undefined` for the collection. */
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

/**
 * Parses `/api/v1/…` or `/apis/group/version/…`; `undefined` where no such version is served.
 *
 * @throws {StatusError} 404 for what is not served of a version that is
 */
export function parseTarget(path: string, store: Store): Target | undefined {
  const words = path.split("/").slice(1).map(decode);
  if (words.at(-1) === "") words.pop();
  const root = words.shift();
  if (root !== "api" && root !== "apis") return undefined;
  const group = root === "api" ? "" : words.shift() ?? "";
  const version = words.shift() ?? "";
  const isServed = store.collections.some(({ kind }) =>
    kind.group === group && kind.version === version
  );
  if (!isServed || words.length === 0) return undefined;
  const target = parseWords(words, (plural) => store.find(group, version, plural));
  if (target !== undefined) return target;
  throw new StatusError("NotFound", "the server could not find the requested resource", {});
}

function parseWords(
  words: string[],
  find: (plural: string) => Collection | undefined,
): Target | undefined {
  let namespace: string | undefined;
  // `namespaces/x/pods` is about pods, `namespaces/x/status` about the namespace.
  if (words[0] === "namespaces" && words.length > 2 && !isSubresource(words[2])) {
    namespace = words[1];
    words.splice(0, 2);
  }
  const [plural = "", name, subresource, ...rest] = words;
  const collection = find(plural);
  if (collection === undefined || rest.length > 0) return undefined;
  const { namespaced, hasStatus } = collection.kind;
  if (!namespaced && namespace !== undefined) return undefined;
  if (namespaced && namespace === undefined && name !== undefined) return undefined;
  const isKnown = subresource === undefined || (subresource === "status" && hasStatus === true);
  return isKnown ? { collection, namespace, name, subresource } : undefined;
}

function isSubresource(word: string | undefined): boolean {
  return word === "status" || word === "finalize";
}

function decode(word: string): string {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}
