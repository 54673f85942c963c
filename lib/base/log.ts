/**
 * The logger: one JSON line per event, a constant phrase plus fields with units.
 * It is an argument wherever it is used, never a global. Pure rooms do not log: they return facts.
 *
 * Levels: error = a person must act; warn = healing; info = state changed; debug takes a function,
 * which is not called while the level is higher, so that it costs nothing.
 */

import { escapeControls } from "./printable.ts";

/** The levels, most severe first. */
export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields of one event: names carry their unit (`durationMs`); `undefined` ones are left out. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where events go; `with()` makes a logger whose events all carry `fields`. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: () => LogFields): void;
  with(fields: LogFields): Logger;
}

/** What a logger needs: a least level, a sink for whole lines, and the time. */
export interface LoggerOptions {
  /** @default {"info"} */
  readonly level?: LogLevel;
  /** Takes one line without its newline. @default {stderr} */
  readonly write?: (line: string) => void;
  /** Milliseconds since the epoch. @default {Date.now} */
  readonly nowMs?: () => number;
  readonly fields?: LogFields;
  /** Prefix of a line by its level: {@link JOURNAL_PREFIXES}. @default {nothing} */
  readonly prefixes?: Readonly<Record<LogLevel, string>> | undefined;
}

/** Prefixes that tell the journal a line's severity: sd-daemon(3), `SyslogLevelPrefix=`. */
export const JOURNAL_PREFIXES: Readonly<Record<LogLevel, string>> = {
  error: "<3>",
  warn: "<4>",
  info: "<6>",
  debug: "<7>",
};

/** Names of errors that indicate a fault of the program; of all others only the message is logged. */
const FAULTS = ["AssertionError", "ReferenceError", "TypeError"];

/** Makes a logger that writes JSON lines `{time, level, message, …fields}`. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const { level = "info", write = writeToStderr, nowMs = Date.now, fields: common = {} } = options;
  const { prefixes } = options;
  const threshold = LOG_LEVELS.indexOf(level);
  function log(at: LogLevel, message: string, fields: LogFields | undefined): void {
    const time = new Date(nowMs()).toISOString();
    const text = JSON.stringify({ time, level: at, message, ...common, ...fields }, replaceError);
    write(`${prefixes?.[at] ?? ""}${escapeControls(text)}`);
  }
  const enabled = (at: LogLevel): boolean => LOG_LEVELS.indexOf(at) <= threshold;
  return {
    error: (message, fields) => log("error", message, fields),
    warn: (message, fields) => enabled("warn") ? log("warn", message, fields) : undefined,
    info: (message, fields) => enabled("info") ? log("info", message, fields) : undefined,
    debug: (message, fields) => enabled("debug") ? log("debug", message, fields?.()) : undefined,
    with: (fields) => createLogger({ ...options, fields: { ...common, ...fields } }),
  };
}

/**
 * Parses a level as an administrator writes it: any case, with Felix' names (`fatal`, `warning`,
 * `trace`, …) as aliases.
 *
 * @throws {RangeError} if `text` is no level
 */
export function parseLogLevel(text: string): LogLevel {
  const name = text.trim().toLowerCase();
  const aliases: Record<string, LogLevel> = {
    none: "error",
    panic: "error",
    fatal: "error",
    critical: "error",
    warning: "warn",
    trace: "debug",
  };
  const level = LOG_LEVELS.find((it) => it === name) ?? aliases[name];
  if (level === undefined) {
    throw new RangeError(`Log level must be one of ${LOG_LEVELS.join(", ")}: got "${text}"`);
  }
  return level;
}

function replaceError(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  const { name, message, cause } = value;
  const known = message !== "" && !FAULTS.includes(name) ? message : `${name}: ${message}`;
  // Many messages end with their cause's.
  return cause instanceof Error && !message.includes(cause.message)
    ? `${known}: ${cause.message}`
    : known;
}

const encoder = new TextEncoder();

function writeToStderr(line: string): void {
  const bytes = encoder.encode(line + "\n");
  try {
    for (let sent = 0; sent < bytes.length;) sent += Deno.stderr.writeSync(bytes.subarray(sent));
  } catch {
    // The reader of stderr has closed it (EPIPE): the work goes on without a log.
  }
}
