/** A kind of object: where it is on the API server, and how its JSON becomes ours. */

import { isRecord } from "../base/json.ts";

/** A decoded object, with the problems of its unreadable parts. */
export interface Decoded<T> {
  /** `undefined`: so malformed that it counts as absent. */
  readonly value: T | undefined;
  /** Problems, each naming field and value; they are logged and counted, and never fatal. */
  readonly problems: readonly string[];
}

/** A kind by itself, wherever its objects come from. */
export interface ObjectKind<T> {
  /** Its plural, for people and in paths: `pods`. */
  readonly name: string;
  /** As its objects say it: `Pod`; a list of them is a `PodList`. */
  readonly kind: string;
  readonly decode: (object: unknown) => Decoded<T>;
}

/** A kind that every API server serves, in this version. */
export interface ResourceKind<T> extends ObjectKind<T> {
  /** `/api/v1/pods`: all namespaces. */
  readonly path: string;
}

/** A kind that a server may serve in one of several versions, or not at all. */
export interface VersionedKind<T> extends ObjectKind<T> {
  readonly group: string;
  /** Those that `decode` reads, the preferred one first: `["v1beta1", "v1alpha2"]`. */
  readonly versions: readonly string[];
}

/** `kind` as `version` has it. */
export function kindIn<T>(kind: VersionedKind<T>, version: string): ResourceKind<T> {
  const { name, decode, group } = kind;
  return { name, kind: kind.kind, decode, path: `/apis/${group}/${version}/${name}` };
}

/** What objects at a path call their `apiVersion`: `v1`, or `networking.k8s.io/v1`. */
export function apiVersionOf(path: string): string {
  const [, root, ...words] = path.split("/");
  return words.slice(0, root === "api" ? 1 : 2).join("/");
}

/**
 * Whether `object` is of `kind`, as far as it says: an object in a list need not, and one that does not
 * is what the list is of.
 */
export function isOfKind<T>(kind: ObjectKind<T>, object: unknown): boolean {
  return isRecord(object) && (object.kind === undefined || object.kind === kind.kind);
}

/** The key of an object: `namespace/name`, or `name`; `undefined` when it has none. */
export function objectKey(object: unknown): string | undefined {
  const metadata = metadataOf(object);
  const { name, namespace } = metadata;
  if (typeof name !== "string" || name === "") return undefined;
  return typeof namespace === "string" && namespace !== "" ? `${namespace}/${name}` : name;
}

/** The `resourceVersion` of an object or a list. */
export function resourceVersionOf(object: unknown): string | undefined {
  const { resourceVersion } = metadataOf(object);
  return typeof resourceVersion === "string" ? resourceVersion : undefined;
}

function metadataOf(object: unknown): Readonly<Record<string, unknown>> {
  return isRecord(object) && isRecord(object.metadata) ? object.metadata : {};
}
