/**
 * Reads JSON objects of any form: notes every wrong field and reads on, so that the caller reports all of
 * them in one error.
 */

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether a JSON value is an object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Describes a value in a message. Of a list or an object it names only the type, since either may hold
 * secrets or be long.
 */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (isJsonObject(value)) return "an object";
  return value === undefined ? "nothing" : JSON.stringify(value).slice(0, VALUE_LENGTH_MAX);
}

const VALUE_LENGTH_MAX = 100;

/** Reads the fields of one object; absent and `null` are the same: `undefined`. */
export class Fields {
  readonly #object: JsonObject;
  readonly #path: string;
  /** The problems so far, shared with the readers of nested objects. */
  readonly problems: string[];

  constructor(object: JsonObject, path = "", problems: string[] = []) {
    this.#object = object;
    this.#path = path;
    this.problems = problems;
  }

  /** The field's name with the names of the objects around it: `ipam.subnet`. */
  nameOf(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }

  /** Adds the problem that the field has an invalid value. */
  refuse(key: string, wanted: string): void {
    const value = describeValue(this.#object[key]);
    this.problems.push(`"${this.nameOf(key)}" must be ${wanted}: got ${value}`);
  }

  /** A secret text: an error about it never shows its value. */
  secret(key: string): string | undefined {
    const value = this.#object[key];
    if (value === undefined || value === null || typeof value === "string") {
      return value || undefined;
    }
    this.problems.push(`"${this.nameOf(key)}" must be a text`);
    return undefined;
  }

  /** A text; the empty one counts as absent. */
  text(key: string): string | undefined {
    return this.#read(key, "a text", (it) => typeof it === "string") || undefined;
  }

  boolean(key: string): boolean | undefined {
    return this.#read(key, "true or false", (it) => typeof it === "boolean");
  }

  /** A whole number, `least` or more. */
  integer(key: string, least = 0): number | undefined {
    const wanted = `a whole number from ${least}`;
    return this.#read(
      key,
      wanted,
      (it): it is number => Number.isSafeInteger(it) && Number(it) >= least,
    );
  }

  /** One of `values`. */
  choice<T extends string>(key: string, values: readonly T[]): T | undefined {
    const wanted = `one of ${values.map((it) => `"${it}"`).join(", ")}`;
    return this.#read(key, wanted, (it): it is T => values.some((value) => value === it));
  }

  object(key: string): Fields | undefined {
    const object = this.#read(key, "an object", isJsonObject);
    return object && new Fields(object, this.nameOf(key), this.problems);
  }

  texts(key: string): readonly string[] | undefined {
    return this.#read(
      key,
      "a list of texts",
      (it): it is string[] => Array.isArray(it) && it.every((text) => typeof text === "string"),
    );
  }

  objects(key: string): readonly Fields[] | undefined {
    const list = this.#read(
      key,
      "a list of objects",
      (it): it is JsonObject[] => Array.isArray(it) && it.every(isJsonObject),
    );
    return list?.map((it, index) => new Fields(it, `${this.nameOf(key)}[${index}]`, this.problems));
  }

  /** A list of lists of objects: `ipam.ranges`. */
  objectLists(key: string): readonly (readonly Fields[])[] | undefined {
    const lists = this.#read(
      key,
      "a list of lists of objects",
      (it): it is JsonObject[][] =>
        Array.isArray(it) && it.every((list) => Array.isArray(list) && list.every(isJsonObject)),
    );
    return lists?.map((list, outer) =>
      list.map((it, inner) =>
        new Fields(it, `${this.nameOf(key)}[${outer}][${inner}]`, this.problems)
      )
    );
  }

  /** Reads the field by `parse`; an error that it throws becomes a problem. */
  parsed<T>(key: string, wanted: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) this.refuse(key, wanted);
    return value;
  }

  /** Like {@link Fields.parsed}, for a required field. */
  required<T>(key: string, wanted: string, parse: (text: string) => T | undefined): T | undefined {
    const text = this.#object[key];
    const value = typeof text === "string" && text !== "" ? parse(text) : undefined;
    if (value === undefined) this.refuse(key, wanted);
    return value;
  }

  #read<T>(key: string, wanted: string, is: (value: unknown) => value is T): T | undefined {
    const value = Object.hasOwn(this.#object, key) ? this.#object[key] : undefined;
    if (value === undefined || value === null) return undefined;
    if (is(value)) return value;
    this.refuse(key, wanted);
    return undefined;
  }
}
