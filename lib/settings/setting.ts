/**
 * One row for one setting. Its flag, variables, form, default and help stand there and nowhere else: what
 * the program reads, the type that it gets, help and documents are made from the row.
 */

import type { ValueType } from "./value_type.ts";

/** A row beside its type and default. */
export interface Names {
  /** The flag, without its dashes. */
  readonly flag?: string;
  /** A letter for the flag. */
  readonly letter?: string;
  /** The flag may be given more than once, and all its values count. */
  readonly isRepeated?: boolean;
  /** Environment variables in falling priority: ours, and its aliases. */
  readonly variables?: readonly string[];
  /** Each variable also counts with this before its name, and then first. */
  readonly variablePrefix?: string;
  /** Its key in a configuration file. */
  readonly fileKey?: string;
  /** What it does, in half a sentence. */
  readonly help: string;
  /** For help: the value without a setting, if there is no default: `the host name`. */
  readonly unsaid?: string;
  /** A value to show where there is no default. */
  readonly example?: string;
}

/** One setting. */
export interface Setting<T> extends Names {
  readonly type: ValueType<T>;
  /** `undefined` where there is none. */
  readonly default: T;
}

/** Settings by the name that the program has for each. */
export type SettingTable = Readonly<Record<string, Setting<unknown>>>;

/** The values of a table's settings. */
export type ValuesOf<Table extends SettingTable> = {
  readonly [K in keyof Table]: Table[K] extends Setting<infer T> ? T : never;
};

/** Makes a row; without a default its value may be `undefined`. */
export function setting<T>(
  row: Names & { readonly type: ValueType<T>; readonly default: NoInfer<T> },
): Setting<T>;
export function setting<T>(row: Names & { readonly type: ValueType<T> }): Setting<T | undefined>;
export function setting<T>(
  row: Names & { readonly type: ValueType<T>; readonly default?: T },
): Setting<T | undefined> {
  const { default: usual, ...rest } = row;
  return { ...rest, default: usual };
}

/** Whether the flag takes no value. */
export function isSwitch({ type }: Setting<unknown>): boolean {
  return type.placeholder === "";
}

/** Every variable that the setting reads, the one that counts first at the beginning. */
export function variablesOf({ variables = [], variablePrefix }: Names): readonly string[] {
  return variablePrefix === undefined
    ? variables
    : variables.flatMap((it) => [`${variablePrefix}${it}`, it]);
}

/** The default as it is typed; `undefined` where there is none, or where it is an unset switch. */
export function formatDefault(row: Setting<unknown>): string | undefined {
  if (row.default === undefined || isSwitch(row)) return undefined;
  return row.type.format(row.default);
}
