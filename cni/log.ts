/**
 * The plugin's log. stdout belongs to the protocol: lines go to `log_file_path`, or to stderr, where
 * runtimes show them only when something is wrong, and therefore only warnings and errors by default.
 */

import { createLogger, type Logger, type LogLevel, parseLogLevel } from "../lib/base/log.ts";
import type { LogSettings } from "./protocol/configuration.ts";
import type { CallEnvironment } from "./protocol/environment.ts";

/** Opens the log of one call; a log that cannot be written never stops the call. */
export function openLog(settings: LogSettings, environment: CallEnvironment): Logger {
  const { command, containerId, ifname, trace } = environment;
  const write = settings.path === undefined ? undefined : appender(settings.path);
  const fields = {
    command,
    containerId: containerId || undefined,
    ifname: ifname || undefined,
    trace,
  };
  return createLogger({
    level: levelOf(settings.level) ?? (write === undefined ? "warn" : "info"),
    fields,
    ...(write === undefined ? {} : { write }),
  });
}

function levelOf(text: string | undefined): LogLevel | undefined {
  try {
    return text === undefined ? undefined : parseLogLevel(text);
  } catch {
    return undefined;
  }
}

/** Appends lines; one write a line, so that calls side by side do not mix theirs. */
function appender(path: string): ((line: string) => void) | undefined {
  try {
    const file = Deno.openSync(path, { append: true, create: true, mode: 0o600 });
    const encoder = new TextEncoder();
    return (line) => {
      try {
        file.writeSync(encoder.encode(line + "\n"));
      } catch {
        // A full disk: the pod matters more.
      }
    };
  } catch {
    return undefined;
  }
}
