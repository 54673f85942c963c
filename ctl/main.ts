/**
 * EXECUTABLE calyxctl: shows what Calyx makes of a cluster, and explains its verdicts. Here the
 * process meets the program: environment, stdout, stderr, and the only exit.
 */

import type { Terminal } from "./command.ts";
import { CtlError } from "./error.ts";
import { run } from "./program.ts";

const encoder = new TextEncoder();

/** Runs calyxctl in this process; the result is its exit status. */
function main(args: readonly string[]): Promise<number> {
  const terminal: Terminal = {
    environment: Deno.env.toObject(),
    readInput: () => new Response(Deno.stdin.readable).text(),
    print: (text) => writeAll(Deno.stdout, text),
    printError: (line) => {
      try {
        writeAll(Deno.stderr, line + "\n");
      } catch {
        // The reader of stderr has closed it; the exit status still tells.
      }
    },
  };
  return run(args, terminal);
}

function writeAll(stream: typeof Deno.stdout, text: string): void {
  const bytes = encoder.encode(text);
  try {
    for (let sent = 0; sent < bytes.length;) sent += stream.writeSync(bytes.subarray(sent));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe || !(error instanceof Error)) throw error;
    throw new CtlError(`Cannot write the answer: ${error.message}`, { cause: error });
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
