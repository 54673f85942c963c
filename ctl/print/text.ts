/**
 * The place where text meets the terminal. Texts from outside (names, labels, messages, paths) may hold
 * characters that move the cursor, erase what stands there, or turn the reading direction round: they are
 * shown as escapes, `\u001b`, which JSON and YAML in quotes read as what they were. Pure.
 */

import { escapeControls } from "../../lib/base/printable.ts";
import type { Terminal } from "../command.ts";

/** `lines` as text, a newline in one of them shown as an escape: it must not look like a line of ours. */
export function formatLines(lines: readonly string[]): string {
  return lines.map((line) => `${escapeControls(line)}\n`).join("");
}

/** `terminal`, to which no control character comes but the newlines between lines. */
export function guardTerminal(terminal: Terminal): Terminal {
  return {
    ...terminal,
    print: (text) => terminal.print(text.split("\n").map(escapeControls).join("\n")),
    printError: (line) => terminal.printError(escapeControls(line)),
  };
}
