/**
 * The three patch formats. JSON merge patch follows RFC 7386 and JSON patch RFC 6902. A strategic
 * merge patch is applied as a merge patch: **lists are replaced whole**, also those that the real
 * server merges by a key (containers, conditions); `$patch`, `$setElementOrder/…` and the other
 * directives are dropped. Network policies have no list that is merged, so for them the two agree.
 */

import { equalJson, isObject, type JsonObject } from "./object.ts";
import { StatusError } from "./status.ts";

/** Content type by patch format. */
export const PATCH_TYPES = {
  "application/merge-patch+json": mergePatch,
  "application/strategic-merge-patch+json": strategicMergePatch,
  "application/json-patch+json": jsonPatch,
} as const satisfies Record<string, (target: unknown, patch: unknown) => unknown>;

/** Applies a JSON merge patch; `target` stays as it is. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const out: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = mergePatch(out[key], value);
  }
  return out;
}

/** Applies a strategic merge patch as far as this server knows it. */
export function strategicMergePatch(target: unknown, patch: unknown): unknown {
  return mergePatch(target, withoutDirectives(patch));
}

function withoutDirectives(patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const entries = Object.entries(patch).filter(([key]) => !key.startsWith("$"));
  return Object.fromEntries(entries.map(([key, value]) => [key, withoutDirectives(value)]));
}

/**
 * Applies a JSON patch; `target` stays as it is.
 *
 * @throws {StatusError} 400 if it is not a list of operations, 422 if one cannot be done
 */
export function jsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch) || !patch.every(isObject)) {
    throw new StatusError("BadRequest", "a JSON patch is a list of operations");
  }
  const box = { root: structuredClone(target) };
  for (const operation of patch) applyOperation(box, operation);
  return box.root;
}

function applyOperation(box: { root: unknown }, { op, path, from, value }: JsonObject): void {
  if (typeof path !== "string") throw failed(op, "it has no path");
  switch (op) {
    case "add":
      return put(box, path, value, "add");
    case "remove":
      return void take(box, path);
    case "replace":
      take(box, path);
      return put(box, path, value, "add");
    case "move":
      return put(box, path, take(box, String(from)), "add");
    case "copy":
      return put(box, path, structuredClone(read(box, String(from))), "add");
    case "test":
      if (!equalJson(read(box, path), value)) throw failed(op, `the value at ${path} differs`);
      return;
    default:
      throw new StatusError("BadRequest", `unknown operation ${JSON.stringify(op)} in JSON patch`);
  }
}

function put(box: { root: unknown }, path: string, value: unknown, op: string): void {
  const { parent, last } = resolve(box, path);
  if (Array.isArray(parent)) {
    const index = last === "-" ? parent.length : Number(last);
    if (!Number.isInteger(index) || index < 0 || index > parent.length) throw failed(op, path);
    parent.splice(index, 0, value);
  } else {
    parent[last] = value;
  }
}

function take(box: { root: unknown }, path: string): unknown {
  const value = read(box, path);
  const { parent, last } = resolve(box, path);
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete parent[last];
  return value;
}

function read(box: { root: unknown }, path: string): unknown {
  const { parent, last } = resolve(box, path);
  const has = Array.isArray(parent) ? Number(last) < parent.length : Object.hasOwn(parent, last);
  if (!has) throw failed("read", `${path} does not exist`);
  return Array.isArray(parent) ? parent[Number(last)] : parent[last];
}

function resolve(
  box: { root: unknown },
  path: string,
): { parent: JsonObject | unknown[]; last: string } {
  const names = path.split("/").map((it) => it.replaceAll("~1", "/").replaceAll("~0", "~"));
  names[0] = "root"; // The pointer starts with a slash, so its first part is empty.
  const last = names.pop() ?? "";
  let parent: unknown = box;
  for (const name of names) {
    parent = Array.isArray(parent)
      ? parent[Number(name)]
      : isObject(parent)
      ? parent[name]
      : undefined;
  }
  if (!Array.isArray(parent) && !isObject(parent)) throw failed("find", path);
  return { parent, last };
}

function failed(op: unknown, why: string): StatusError {
  return new StatusError("Invalid", `the JSON patch cannot be applied: ${op}: ${why}`);
}
