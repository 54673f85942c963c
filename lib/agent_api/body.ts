/**
 * Reading the JSON objects of the socket, where a field that is missing, `null` or of another type is
 * `undefined`: what that means is said where the field is (route.ts).
 */

import { isRecord } from "../base/json.ts";

/** A JSON object. */
export type Body = Readonly<Record<string, unknown>>;

/** A text; the empty one counts as missing. */
export function readText(body: Body, name: string): string | undefined {
  const value = readField(body, name);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** A number, 0 or more. */
export function readNumber(body: Body, name: string): number | undefined {
  const value = readField(body, name);
  return typeof value === "number" && value >= 0 ? value : undefined;
}

export function readBoolean(body: Body, name: string): boolean | undefined {
  const value = readField(body, name);
  return typeof value === "boolean" ? value : undefined;
}

/** A list of texts; one with anything else in it counts as missing. */
export function readTexts(body: Body, name: string): readonly string[] | undefined {
  const value = readField(body, name);
  return isListOf(value, (it) => typeof it === "string") ? value : undefined;
}

export function readObject(body: Body, name: string): Body | undefined {
  const value = readField(body, name);
  return isRecord(value) ? value : undefined;
}

/** A list of objects; one with anything else in it counts as missing. */
export function readObjects(body: Body, name: string): readonly Body[] | undefined {
  const value = readField(body, name);
  return isListOf(value, isRecord) ? value : undefined;
}

function readField(body: Body, name: string): unknown {
  return Object.hasOwn(body, name) ? body[name] : undefined;
}

function isListOf<T>(value: unknown, is: (item: unknown) => item is T): value is readonly T[] {
  return Array.isArray(value) && value.every(is);
}
