/**
 * What a row of the table of configuration keys says, and how the table's values are read from a network
 * configuration. Which keys there are: `keys.ts`.
 */

import type { Fields } from "./fields.ts";

/** What the value of a key may be. */
export interface KeyType<T> {
  /** In words, for documents: `true or false`. */
  readonly form: string;
  /** The field's value; a wrong one is noted in `fields` and `undefined`. */
  read(fields: Fields, field: string): T | undefined;
  /** The value as it is written in JSON. */
  format(value: T): unknown;
}

/** One key of the network configuration. */
export interface Key<T> {
  /** With the name of the object that it lies in: `kubernetes.node_name`. */
  readonly key: string;
  readonly type: KeyType<T>;
  /** `undefined` where there is none. */
  readonly default: T;
  /** What it does, in half a sentence. */
  readonly help: string;
  /** For documents: the behaviour without the key, if there is no default. */
  readonly unsaid?: string;
}

/** A key that is only documented here; other code reads it. */
export interface DescribedKey {
  readonly key: string;
  readonly form: string;
  readonly default?: string;
  readonly help: string;
}

/** Keys by the name that the program has for each. */
export type KeyTable = Readonly<Record<string, Key<unknown>>>;

/** The values of a table's keys. */
export type KeyValues<Table extends KeyTable> = {
  readonly [K in keyof Table]: Table[K] extends Key<infer T> ? T : never;
};

type Described<T> = Pick<Key<T>, "help" | "unsaid">;

/** Makes a row; without a default its value may be `undefined`. */
export function key<T>(
  key: string,
  type: KeyType<T>,
  row: Described<T> & { readonly default: NoInfer<T> },
): Key<T>;
export function key<T>(key: string, type: KeyType<T>, row: Described<T>): Key<T | undefined>;
export function key<T>(
  key: string,
  type: KeyType<T>,
  row: Described<T> & { readonly default?: T },
): Key<T | undefined> {
  const { default: usual, ...rest } = row;
  return { key, type, ...rest, default: usual };
}

/** Reads tables of keys from one configuration; each nested object is checked once. */
export class KeyReader {
  readonly #objects = new Map<string, Fields | undefined>();

  constructor(fields: Fields) {
    this.#objects.set("", fields);
  }

  /** Reads the values of `table`. An invalid value is noted as a problem, and counts as absent. */
  read<Table extends KeyTable>(table: Table): KeyValues<Table> {
    const values: Record<string, unknown> = {};
    for (const [name, row] of Object.entries(table)) values[name] = this.#valueOf(row);
    return values as KeyValues<Table>;
  }

  #valueOf({ key, type, default: usual }: Key<unknown>): unknown {
    const at = key.lastIndexOf(".");
    const fields = this.#object(key.slice(0, Math.max(0, at)));
    const value = fields === undefined ? undefined : type.read(fields, key.slice(at + 1));
    return value ?? usual;
  }

  #object(path: string): Fields | undefined {
    if (!this.#objects.has(path)) this.#objects.set(path, this.#objects.get("")?.object(path));
    return this.#objects.get(path);
  }
}

const asIs = (value: unknown): unknown => value;

/** A text. */
export const text: KeyType<string> = {
  form: "text",
  read: (fields, field) => fields.text(field),
  format: asIs,
};

/** A text that no error message shows. */
export const secret: KeyType<string> = {
  form: "text",
  read: (fields, field) => fields.secret(field),
  format: asIs,
};

/** `true` or `false`. */
export const boolean: KeyType<boolean> = {
  form: "true or false",
  read: (fields, field) => fields.boolean(field),
  format: asIs,
};

/** One of some texts. */
export function choice<T extends string>(...values: readonly T[]): KeyType<T> {
  return {
    form: values.map((it) => `"${it}"`).join(" or "),
    read: (fields, field) => fields.choice(field, values),
    format: asIs,
  };
}

/** A text that `isRight` accepts; `form` describes it in the error. */
export function checked(form: string, isRight: (text: string) => boolean): KeyType<string> {
  return {
    form,
    read: (fields, field) => {
      const value = fields.text(field);
      if (value === undefined || isRight(value)) return value;
      fields.refuse(field, form);
      return undefined;
    },
    format: asIs,
  };
}

/** A whole number in a unit of `size` program units; 0 counts as absent. */
export function countOf(form: string, size: number): KeyType<number> {
  return {
    form,
    read: (fields, field) => {
      const value = fields.integer(field);
      return value ? value * size : undefined;
    },
    format: (value) => value / size,
  };
}
