/** calyxctl in this process: arguments, environment and stdin in; status and texts out. */

import type { Terminal } from "../../../ctl/command.ts";
import { run } from "../../../ctl/program.ts";

/** What came of a run. */
export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one line, whose arguments hold no blanks, or a list of arguments. */
export async function calyxctl(
  line: string | readonly string[],
  environment: Readonly<Record<string, string>> = {},
  input = "",
): Promise<Outcome> {
  let stdout = "";
  let stderr = "";
  const terminal: Terminal = {
    environment,
    configFile: "/nonexistent/calicoctl.cfg",
    readInput: () => Promise.resolve(input),
    print: (text) => stdout += text,
    printError: (text) => stderr += text + "\n",
  };
  const args = typeof line === "string" ? line.split(" ").filter((it) => it !== "") : line;
  const status = await run(args, terminal);
  return { status, stdout, stderr };
}
