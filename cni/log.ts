/**
 * The plugin's log: one JSON line an event, on stderr and in `log_file_path`. stdout belongs to the
 * protocol. Runtimes copy stderr into their own log, so that it gets warnings and errors only, until
 * `log_level` says how much is wanted in both. Every line names the call, and the trace that it is
 * part of.
 */

import { createLogger, type Logger, type LogLevel, parseLogLevel } from "../lib/base/log.ts";
import { openLogFile } from "./log_file.ts";
import type { LogSettings } from "./protocol/configuration.ts";
import type { CallEnvironment } from "./protocol/environment.ts";

/**
 * Opens the log of one call; a log that cannot be written never stops the call.
 *
 * @param writeStderr takes a line for stderr
 */
export function openLog(
  settings: LogSettings,
  environment: CallEnvironment,
  writeStderr: (line: string) => void,
): Logger {
  const { command, containerId, ifname, trace } = environment;
  const fields = {
    command,
    containerId: containerId || undefined,
    ifname: ifname || undefined,
    ...trace,
  };
  const level = levelOf(settings.level);
  const stderr = createLogger({ level: level ?? "warn", fields, write: writeStderr });
  if (settings.path === undefined) return stderr;
  const write = openLogFile(settings.path, settings);
  if (write === undefined) {
    stderr.warn("log file cannot be written", { path: settings.path });
    return stderr;
  }
  return both(stderr, createLogger({ level: level ?? "info", fields, write }));
}

function levelOf(text: string | undefined): LogLevel | undefined {
  try {
    return text === undefined ? undefined : parseLogLevel(text);
  } catch {
    return undefined;
  }
}

function both(first: Logger, second: Logger): Logger {
  return {
    error: (message, fields) => [first, second].forEach((it) => it.error(message, fields)),
    warn: (message, fields) => [first, second].forEach((it) => it.warn(message, fields)),
    info: (message, fields) => [first, second].forEach((it) => it.info(message, fields)),
    debug: (message, fields) => [first, second].forEach((it) => it.debug(message, fields)),
    with: (fields) => both(first.with(fields), second.with(fields)),
  };
}
