/** A kind of object: where it is on the API server, and how its JSON becomes ours. */

/** An object as far as it could be understood. */
export interface Decoded<T> {
  /** `undefined`: so malformed that it counts as absent. */
  readonly value: T | undefined;
  /** What was wrong, each naming field and value; logged and counted, never fatal. */
  readonly problems: readonly string[];
}

/** One kind. */
export interface ResourceKind<T> {
  /** Its plural, for people: `pods`. */
  readonly name: string;
  /** `/api/v1/pods`: all namespaces. */
  readonly path: string;
  readonly decode: (object: unknown) => Decoded<T>;
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
  if (typeof object !== "object" || object === null || !("metadata" in object)) return {};
  const { metadata } = object;
  return typeof metadata === "object" && metadata !== null
    ? metadata as Record<string, unknown>
    : {};
}
