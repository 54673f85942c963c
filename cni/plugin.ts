/**
 * One call from parameters to answer: reads and validates in the order that callers expect, dispatches,
 * and makes every failure an error object. It writes nowhere and does not exit: `main.ts` does.
 */

import { messageOf } from "../lib/base/error.ts";
import { createLogger, type Logger } from "../lib/base/log.ts";
import { formatVersion } from "../lib/base/version.ts";
import { add } from "./add.ts";
import type { Call } from "./call.ts";
import { check } from "./check.ts";
import { del } from "./delete.ts";
import { collect } from "./gc.ts";
import { openLog } from "./log.ts";
import {
  LOG_SETTINGS_UNSAID,
  parseConfiguration,
  peekVersion,
  readLogSettings,
} from "./protocol/configuration.ts";
import {
  type CniCommand,
  parseEnvironment,
  validateEnvironment,
  type Variables,
} from "./protocol/environment.ts";
import { CNI_CODES, CniError, formatError, toCniError } from "./protocol/error.ts";
import { formatResult } from "./protocol/result.ts";
import {
  CNI_VERSION_NEWEST,
  CNI_VERSIONS,
  formatVersions,
  parseCniVersion,
  requireCommand,
} from "./protocol/version.ts";
import { parseTraceParent } from "./protocol/trace.ts";
import { status } from "./status.ts";

/** Where a call's parameters come from. */
export interface PluginInput {
  readonly variables: Variables;
  /** All of stdin. */
  readonly readInput: () => string;
  /** What is on stdin already, without waiting for more. */
  readonly readPending: () => string;
  /** Takes a line of the log for stderr. */
  readonly writeLog: (line: string) => void;
}

/** The process's output and exit code. */
export interface PluginOutput {
  readonly exitCode: 0 | 1;
  readonly stdout: string;
  readonly stderr: string;
}

/** What each command does; the text is the answer on stdout. */
const COMMANDS: Readonly<
  Record<Exclude<CniCommand, "VERSION">, (call: Call) => Promise<string | void>>
> = {
  ADD: async (call) => formatResult(await add(call), call.configuration.cniVersion),
  DEL: del,
  CHECK: check,
  GC: collect,
  STATUS: status,
};

/** Serves one call of the plugin: returns what to print on stdout and the exit code; it does not throw. */
export async function serve(input: PluginInput): Promise<PluginOutput> {
  const startMs = performance.now();
  const { variables, writeLog } = input;
  const trace = parseTraceParent(variables.TRACEPARENT ?? "");
  // Used until the configuration names a log file.
  let log = createLogger({ write: writeLog, fields: { command: variables.CNI_COMMAND, ...trace } });
  let version: string | undefined;
  let network: string | undefined;
  try {
    const environment = parseEnvironment(variables);
    if (environment === undefined) return { exitCode: 0, stdout: "", stderr: formatAbout() };
    const { command } = environment;
    if (command === "VERSION") {
      return answer(formatVersions(knownVersion(peekVersion(input.readPending()))));
    }
    log = openLog(LOG_SETTINGS_UNSAID, environment, writeLog);
    const stdin = readInput(input);
    version = peekVersion(stdin);
    const configuration = parseConfiguration(stdin);
    network = configuration.name;
    log = openLog(readLogSettings(configuration), environment, writeLog);
    validateEnvironment(environment);
    requireCommand(configuration.cniVersion, command);
    const text = await COMMANDS[command]({ environment, configuration, stdin, log });
    log.info("call served", { network, durationMs: durationOf(startMs) });
    return answer(text ?? "");
  } catch (error) {
    const failure = toCniError(error);
    logFailure(log, failure, { network, startMs });
    const text = formatError(failure, knownVersion(version));
    return { exitCode: 1, stdout: text + "\n", stderr: "" };
  }
}

/** Failures that a retry may cure; a person must act on all others. */
const PASSING: readonly number[] = [
  CNI_CODES.tryAgainLater,
  CNI_CODES.unavailable,
  CNI_CODES.unavailableDegraded,
];

function logFailure(
  log: Logger,
  error: CniError,
  { network, startMs }: { readonly network: string | undefined; readonly startMs: number },
): void {
  const { code, message, details } = error;
  const cause = rootOf(error);
  const fields = {
    network,
    code,
    error: message,
    details,
    cause: message.includes(cause.message) ? undefined : cause,
    stack: code === CNI_CODES.internal ? cause.stack : undefined, // a fault of ours
    durationMs: durationOf(startMs),
  };
  if (PASSING.includes(code)) log.warn("call failed", fields);
  else log.error("call failed", fields);
}

function rootOf(error: Error): Error {
  return error.cause instanceof Error ? rootOf(error.cause) : error;
}

function durationOf(startMs: number): number {
  return Math.round(performance.now() - startMs);
}

function answer(text: string): PluginOutput {
  return { exitCode: 0, stdout: text === "" ? "" : text + "\n", stderr: "" };
}

/** @throws {CniError} code 5 */
function readInput(input: PluginInput): string {
  try {
    return input.readInput();
  } catch (error) {
    const reason = messageOf(error);
    throw new CniError("io", `error reading from stdin: ${reason}`, { cause: error });
  }
}

/** The version for an error's answer: the caller's if we support it. */
function knownVersion(version: string | undefined): string {
  if (version === undefined) return CNI_VERSION_NEWEST;
  try {
    return parseCniVersion(version);
  } catch {
    return CNI_VERSION_NEWEST;
  }
}

/** The text for a person who runs the program by hand. */
export function formatAbout(): string {
  return [
    formatVersion("calyx"),
    "A CNI plugin: container runtimes call it, with CNI_COMMAND and more in its environment.",
    `CNI protocol versions supported: ${CNI_VERSIONS.join(", ")}`,
    "",
  ].join("\n");
}
