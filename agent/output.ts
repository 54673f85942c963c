/** The agent's output on the standard streams: its log, and the texts of its commands. */

import { messageOf } from "../lib/base/error.ts";
import { createLogger, JOURNAL_PREFIXES, type Logger } from "../lib/base/log.ts";
import { escapeControls } from "../lib/base/printable.ts";
import { isJournal, STDERR } from "../lib/kernel/journal.ts";
import type { Settings } from "./settings.ts";

/** On stderr; where that is the journal, each line says how severe it is. */
export function openLog({ logLevel }: Pick<Settings, "logLevel">): Logger {
  const prefixes = isStderrJournal() ? JOURNAL_PREFIXES : undefined;
  return createLogger({ level: logLevel, prefixes });
}

/** Writes on stdout. @returns the exit code of success */
export function print(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return 0;
}

/** Writes a sentence on stderr, an error's or one as it is. @returns the exit code of failure */
export function fail(error: unknown): number {
  const message = messageOf(error);
  const prefix = isStderrJournal() ? JOURNAL_PREFIXES.error : "";
  const text = `${prefix}calyx-agent: ${escapeControls(message)}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
  return 1;
}

function isStderrJournal(): boolean {
  return isJournal(STDERR, Deno.env.get("JOURNAL_STREAM"));
}
