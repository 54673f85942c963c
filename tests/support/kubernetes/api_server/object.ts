/**
 * Kubernetes objects as the small API server keeps them: plain JSON that is never changed once it is
 * stored, so that events, lists and pages share it.
 */

/** A JSON object. */
export type JsonObject = { [key: string]: unknown };

/** The part of `metav1.ObjectMeta` that the server itself reads or writes. */
export interface ObjectMeta extends JsonObject {
  name?: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

/** Any Kubernetes object. */
export interface KubernetesObject extends JsonObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  spec?: unknown;
  status?: unknown;
}

/** What callers hand in: the server fills in the rest. */
export interface PartialObject {
  readonly metadata: Readonly<Partial<ObjectMeta>>;
  readonly [key: string]: unknown;
}

/** Whether `value` is a JSON object: neither null nor a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `value` where it is an object, else an empty one: for reading, not for writing. */
export function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

/** `value` where it is a list, else an empty one. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `namespace/name`, or `name` for what is in no namespace: order and identity as in etcd. */
export function keyOf(object: { readonly metadata: ObjectMeta }): string {
  return formatKey(object.metadata.namespace, object.metadata.name ?? "");
}

/** The key of a namespaced or cluster-wide name. */
export function formatKey(namespace: string | undefined, name: string): string {
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** Reads the value at `path` ("spec.nodeName"); `undefined` where there is none. */
export function valueAt(object: unknown, path: string): unknown {
  let value = object;
  for (const name of path.split(".")) value = asObject(value)[name];
  return value;
}

/** Whether both are the same JSON; the order of keys does not count. */
export function equalJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((it, i) => equalJson(it, b[i]));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a).filter((key) => a[key] !== undefined);
  return keys.length === Object.keys(b).filter((key) => b[key] !== undefined).length &&
    keys.every((key) => equalJson(a[key], b[key]));
}

const texts = new WeakMap<object, string>();

/** The object as JSON text, made once per stored object. */
export function textOf(object: KubernetesObject): string {
  let text = texts.get(object);
  if (text === undefined) texts.set(object, text = JSON.stringify(object));
  return text;
}
