/** The texts of `help` and `-h`. */

import { formatCredentialHelp } from "../lib/credentials/help.ts";
import { formatFlags } from "../lib/settings/help.ts";
import { GLOBAL_FLAGS } from "./arguments.ts";
import type { Command } from "./command.ts";

/** The flags of all commands. */
export const GLOBAL_HELP = `Global flags:\n${formatFlags(GLOBAL_FLAGS)}`;

/** The text of `calyxctl help`. */
export function formatHelp(commands: readonly Command[]): string {
  const listed = commands.filter((it) => it.summary !== undefined);
  const width = listed.reduce((most, it) => Math.max(most, it.name.length), 0);
  const lines = listed.map((it) => `  ${it.name.padEnd(width)}   ${it.summary}\n`).join("");
  return `calyxctl shows what Calyx makes of a Kubernetes cluster, and explains every verdict.

Usage: calyxctl COMMAND [flags]

Commands:
${lines}
${GLOBAL_HELP}
${formatCredentialHelp()}
Where none of these names an API server, calyxctl takes ~/.kube/config.
`;
}

/** The text of `calyxctl COMMAND -h`. */
export function formatCommandHelp(command: Command): string {
  const own = formatOwnHelp(command);
  return command.flags === undefined ? own : `${own}\n${GLOBAL_HELP}`;
}

/** What {@link formatCommandHelp} says of the command alone. */
export function formatOwnHelp(command: Command): string {
  const { name, usage, description, flags, examples = [] } = command;
  const lines = examples.map((it) => `  ${it}\n`).join("");
  const own = flags === undefined ? "" : formatFlags(flags);
  return [
    `Usage: calyxctl ${name} ${usage}\n`,
    description ?? "",
    own === "" ? "" : `Flags:\n${own}`,
    lines === "" ? "" : `Examples:\n${lines}`,
  ].filter((it) => it !== "").join("\n");
}
