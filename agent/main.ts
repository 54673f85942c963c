/**
 * EXECUTABLE calyx-agent: watch, compute, program, repeat. One per node. Here are arguments, environment and
 * signals; `node_agent.ts` has the objects and a drawing of them.
 */

import { formatVersion } from "../lib/base/version.ts";
import { raiseDescriptorLimit } from "../lib/kernel/limit.ts";
import { cleanup } from "./cleanup.ts";
import { NodeAgent } from "./node_agent.ts";
import { createNotifier } from "./notify.ts";
import { fail, openLog, print } from "./output.ts";
import { type Command, formatHelp, parseCommand, type Settings, VARIABLES } from "./settings.ts";
import { findUnknownVariables } from "./variables.ts";

/** Runs the command line; resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let command: Command;
  try {
    command = parseCommand(args, Deno.env.toObject(), Deno.hostname());
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof RangeError)) throw error;
    const isQuestion = error.message.endsWith("?");
    return fail(`${error.message}${isQuestion ? " See" : "; see"} calyx-agent --help`);
  }
  switch (command.kind) {
    case "help":
      return print(formatHelp());
    case "version":
      return print(`${formatVersion("calyx-agent")}\n`);
    case "cleanup":
      return await cleanup(command.settings).then(print, fail);
    case "run":
      return await run(command.settings);
  }
}

async function run(settings: Settings): Promise<number> {
  const logger = openLog(settings);
  Deno.umask(0o077); // what we make, the socket above all, is root's alone from its first moment
  raiseDescriptorLimit();
  // An agent that ends over a promise that has no owner is a node whose policies are late.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    const error: unknown = event.reason;
    const stack = error instanceof Error ? error.stack : undefined;
    logger.error("unexpected error; the agent continues", { error, stack });
  });
  const stop = new AbortController();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => stop.abort(name));
  }
  const environment = Deno.env.toObject();
  for (const unknown of findUnknownVariables(environment, VARIABLES)) {
    logger.warn("unknown environment variable; see calyx-agent --help", { ...unknown });
  }
  const notifier = createNotifier(environment, logger);
  try {
    await using agent = new NodeAgent({ settings, environment, notifier, logger });
    await agent.run(stop.signal);
    return 0;
  } catch (error) {
    logger.error("agent cannot run", { error });
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
