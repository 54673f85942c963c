/**
 * What the value of a setting may be: how a person types it, what the program makes of it, and back.
 * `parse(format(value))` is the value again, so that help and documents print defaults as they are typed.
 */

import { LOG_LEVELS, type LogLevel, parseLogLevel } from "../base/log.ts";

/** A kind of value. */
export interface ValueType<T> {
  /** Stands for the value in help and documents: `SECONDS`, `on|off`; empty for a switch. */
  readonly placeholder: string;
  /** @throws {RangeError | SyntaxError} what it must be, and what it is */
  parse(text: string): T;
  /** The value as it is typed. */
  format(value: T): string;
}

/** Any text; `placeholder` says what of. */
export function text(placeholder: string): ValueType<string> {
  return { placeholder, parse: (value) => value, format: (value) => value };
}

/** A text that `parse` checks, or brings into its usual form. */
export function checkedText(
  placeholder: string,
  parse: (text: string) => string,
): ValueType<string> {
  return { placeholder, parse, format: (value) => value };
}

/** An absolute path. */
export const absolutePath: ValueType<string> = checkedText("PATH", (value) => {
  if (!value.startsWith("/")) throw new RangeError(`Path must be absolute: got "${value}"`);
  return value;
});

const MANY = Number.MAX_SAFE_INTEGER;

/** A whole number from `least` to `most`. */
export function integer(
  placeholder: string,
  least: number,
  most: number = MANY,
): ValueType<number> {
  return {
    placeholder,
    parse: (value) => {
      const number = Number(value);
      if (/^\d+$/.test(value.trim()) && number >= least && number <= most) return number;
      const range = most === MANY ? `${least} or more` : `from ${least} to ${most}`;
      throw new RangeError(`Number must be ${range}: got "${value}"`);
    },
    format: String,
  };
}

/** Seconds, typed with or without an "s"; milliseconds inside. */
export const seconds: ValueType<number> = {
  placeholder: "SECONDS",
  parse: (value) => {
    const match = /^(\d+(?:\.\d+)?)s?$/.exec(value.trim());
    if (match === null) throw new RangeError(`Duration must be seconds: got "${value}"`);
    return Math.round(Number(match[1]) * 1000);
  },
  format: (durationMs) => String(durationMs / 1000),
};

/** One of some words, in any case. */
export function choice<T extends string>(...choices: readonly T[]): ValueType<T> {
  return {
    placeholder: choices.join("|"),
    parse: (value) => {
      const found = choices.find((it) => it === value.trim().toLowerCase());
      if (found !== undefined) return found;
      throw new RangeError(`Value must be ${choices.join(" or ")}: got "${value}"`);
    },
    format: (value) => value,
  };
}

/** A log level; Felix' names are accepted too. */
export const logLevel: ValueType<LogLevel> = { ...choice(...LOG_LEVELS), parse: parseLogLevel };

/** One of two words, the first of which means true. */
export function either(yes: string, no: string): ValueType<boolean> {
  const { placeholder, parse } = choice(yes, no);
  return {
    placeholder,
    parse: (value) => parse(value) === yes,
    format: (value) => value ? yes : no,
  };
}

/** `on` or `off`. */
export const onOff: ValueType<boolean> = either("on", "off");

/** A flag without a value. */
export const switched: ValueType<boolean> = { ...either("true", "false"), placeholder: "" };
