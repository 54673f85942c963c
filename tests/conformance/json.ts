/**
 * Reading the case files: each reader says where it is, and throws when something else is there. Not
 * for what the API server sends: `lib/datastore/decode` reads that, and never throws.
 */

import type { Labels } from "../../lib/model/labels.ts";
import type { Protocol } from "../../lib/model/workload.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A place in a JSON document. */
export class Json {
  readonly value: unknown;
  /** For people: `cases[3].steps[0]`. */
  readonly path: string;

  constructor(value: unknown, path: string) {
    this.value = value;
    this.path = path;
  }

  /** Whether there is anything. */
  get exists(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** The field `name`, which may be missing. */
  get(name: string): Json {
    return new Json(this.object()[name], this.path === "" ? name : `${this.path}.${name}`);
  }

  /** @throws {SyntaxError} if it is no object */
  object(): JsonObject {
    const { value } = this;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return value as JsonObject;
    }
    throw this.#unexpected("an object");
  }

  /** The fields, in their order. @throws {SyntaxError} if it is no object */
  entries(): [string, Json][] {
    return Object.keys(this.object()).map((name) => [name, this.get(name)]);
  }

  /** The items; none where there is nothing. @throws {SyntaxError} if it is no list */
  list(): Json[] {
    if (!this.exists) return [];
    if (!Array.isArray(this.value)) throw this.#unexpected("a list");
    return this.value.map((it, index) => new Json(it, `${this.path}[${index}]`));
  }

  /** @throws {SyntaxError} if it is no text */
  text(): string {
    if (typeof this.value === "string") return this.value;
    throw this.#unexpected("a text");
  }

  /** @throws {SyntaxError} if it is no port number */
  port(): number {
    const { value } = this;
    if (typeof value === "number" && Number.isInteger(value) && value > 0 && value < 65536) {
      return value;
    }
    throw this.#unexpected("a port number");
  }

  /** @throws {SyntaxError} if it is none of TCP, UDP and SCTP */
  protocol(): Protocol {
    const { value } = this;
    if (value === "TCP" || value === "UDP" || value === "SCTP") return value;
    throw this.#unexpected("TCP, UDP or SCTP");
  }

  /** Labels; none where there is nothing. @throws {SyntaxError} if they are no texts */
  labels(): Labels {
    if (!this.exists) return {};
    return Object.fromEntries(this.entries().map(([name, it]) => [name, it.text()]));
  }

  /** An error that says what was expected here. */
  #unexpected(what: string): SyntaxError {
    const shown = JSON.stringify(this.value) ?? "nothing";
    const place = this.path === "" ? "file" : this.path;
    return new SyntaxError(`${place}: ${what} is expected, not ${shown.slice(0, 80)}`);
  }
}

/**
 * Calls `f`, whose errors then say at which place they happened.
 *
 * @throws {SyntaxError} what `f` throws, with the place before it
 */
export function locate<T>(place: Json, f: () => T): T {
  try {
    return f();
  } catch (error) {
    if (!(error instanceof SyntaxError) || error.message.startsWith(place.path)) throw error;
    throw new SyntaxError(`${place.path}: ${error.message}`, { cause: error });
  }
}

/** A copy of `value` in which every text went through `change`. */
export function mapTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((it) => mapTexts(it, change));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, it]) => [name, mapTexts(it, change)]),
  );
}
