/** The values of settings, from flags and environment variables. */

import { messageOf } from "../base/error.ts";
import type { Flags, FlagSpec } from "../base/flags.ts";
import {
  isSwitch,
  type Setting,
  type SettingTable,
  type ValuesOf,
  variablesOf,
} from "./setting.ts";
import type { ValueType } from "./value_type.ts";

/** Environment variables as they come. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What flags a command with these settings takes. */
export function flagSpecOf(table: SettingTable): Required<FlagSpec> {
  const rows = Object.values(table);
  const flagsOf = (chosen: readonly Setting<unknown>[]): readonly string[] =>
    chosen.flatMap((it) => it.flag ?? []);
  return {
    boolean: flagsOf(rows.filter(isSwitch)),
    string: flagsOf(rows.filter((it) => !isSwitch(it))),
    collect: flagsOf(rows.filter((it) => it.isRepeated)),
    alias: Object.fromEntries(
      rows.flatMap(({ letter, flag }) =>
        letter === undefined || flag === undefined ? [] : [[letter, flag]]
      ),
    ),
  };
}

/**
 * The values of all settings of a table: each by its flag, or else its variables, or else its default.
 *
 * @throws {RangeError} one sentence naming the setting, its value and what it may be
 */
export function readValues<Table extends SettingTable>(
  table: Table,
  flags: Flags,
  environment: Environment = {},
): ValuesOf<Table> {
  const values = Object.entries(table)
    .map(([name, row]) => [name, readValue(row, flags, environment)]);
  return Object.fromEntries(values) as ValuesOf<Table>;
}

/**
 * The value of one setting.
 *
 * @throws {RangeError} like {@link readValues}
 */
export function readValue<T>(
  row: Setting<T>,
  flags: Flags,
  environment: Environment = {},
): T {
  const { flag, type } = row;
  if (flag !== undefined && flags.has(flag)) {
    return parseNamed(`--${flag}`, isSwitch(row) ? "true" : flags.get(flag) ?? "", type);
  }
  for (const name of variablesOf(row)) {
    const value = environment[name];
    if (value !== undefined && value !== "") return parseNamed(name, value, type);
  }
  return row.default;
}

/**
 * All values of a flag that may be given more than once, in their order.
 *
 * @throws {RangeError} like {@link readValues}
 */
export function readEach<T>(row: Setting<T | undefined>, flags: Flags): readonly T[] {
  const { flag = "", type } = row;
  return flags.all(flag).flatMap((it) => parseNamed(`--${flag}`, it, type) ?? []);
}

function parseNamed<T>(name: string, value: string, { parse }: ValueType<T>): T {
  try {
    return parse(value);
  } catch (error) {
    throw new RangeError(`${name}: ${messageOf(error)}`);
  }
}
