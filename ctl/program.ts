/**
 * The program without its process: arguments in, text and an exit status out. Whatever goes wrong
 * becomes one sentence on stderr and status 1.
 */

import { messageOf } from "../lib/base/error.ts";
import { formatVersion } from "../lib/base/version.ts";
import { CredentialsError } from "../lib/credentials/error.ts";
import { DatastoreError } from "../lib/datastore/error.ts";
import { parseArguments, splitArguments } from "./arguments.ts";
import type { Command, Terminal } from "./command.ts";
import { explainCommand } from "./commands/explain.ts";
import { getCommand } from "./commands/get.ts";
import { refusedCommands } from "./commands/refuse.ts";
import { versionCommand } from "./commands/version.ts";
import { CtlError } from "./error.ts";
import { formatCommandHelp, formatHelp } from "./help.ts";
import { guardTerminal } from "./print/text.ts";
import { suggest } from "./suggest.ts";

const helpCommand: Command = {
  name: "help",
  summary: "say what a command does",
  usage: "[COMMAND]",
  flags: {},
  run: ({ words, terminal }) => {
    const [name] = words;
    terminal.print(
      name === undefined ? formatHelp(COMMANDS) : formatCommandHelp(findCommand(name)),
    );
  },
};

/** Every command. A new one is a new row here, and a file in `commands/`. */
export const COMMANDS: readonly Command[] = [
  getCommand,
  explainCommand,
  versionCommand,
  helpCommand,
  ...refusedCommands,
];

/** Runs `calyxctl args…`; the result is the exit status. */
export async function run(args: readonly string[], outside: Terminal): Promise<0 | 1> {
  const terminal = guardTerminal(outside);
  try {
    await dispatch(args, terminal);
    return 0;
  } catch (error) {
    // The reader of stdout has closed it (`| head`).
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    terminal.printError(`calyxctl: ${formatError(error)}`);
    return 1;
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<void> {
  const { command: name, rest } = splitArguments(args);
  if (name === undefined) {
    if (rest.includes("--version")) return terminal.print(formatVersion("calyxctl") + "\n");
    parseArguments(rest, {});
    return terminal.print(formatHelp(COMMANDS));
  }
  const command = findCommand(name);
  const wantsHelp = rest.some((it) => it === "-h" || it === "--help");
  if (command.flags === undefined) {
    if (wantsHelp) return terminal.print(formatCommandHelp(command));
    return await command.run({ words: rest, flags: parseArguments([], {}), terminal });
  }
  const flags = parseArguments(rest, command.flags);
  if (flags.has("help")) return terminal.print(formatCommandHelp(command));
  await command.run({ words: flags.words, flags, terminal });
}

function findCommand(name: string): Command {
  const command = COMMANDS.find((it) => it.name === name);
  if (command !== undefined) return command;
  const hint = suggest(name, COMMANDS.map((it) => it.name));
  throw new CtlError(
    `Unknown command "${name}"${hint || '; "calyxctl help" lists the commands'}`,
  );
}

/** One sentence: neither a stack nor several lines. */
function formatError(error: unknown): string {
  const told = error instanceof CtlError || error instanceof CredentialsError ||
    error instanceof DatastoreError;
  const message = messageOf(error);
  const sentence = message.replaceAll(/\s*\n\s*/g, " ").trim();
  return told ? sentence : `Internal error: ${sentence}`;
}
