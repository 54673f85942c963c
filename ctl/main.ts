/**
 * EXECUTABLE calyxctl: shows what Calyx makes of a cluster, and explains its verdicts. Here the
 * process meets the program: environment, stdout, stderr, and the only exit.
 */

import type { Terminal } from "./command.ts";
import { run } from "./program.ts";

const encoder = new TextEncoder();

/** Runs calyxctl in this process; the result is its exit status. */
export function main(args: readonly string[]): Promise<number> {
  const terminal: Terminal = {
    environment: Deno.env.toObject(),
    readInput: () => new Response(Deno.stdin.readable).text(),
    print: (text) => writeAll(Deno.stdout, text),
    printError: (line) => {
      try {
        writeAll(Deno.stderr, line + "\n");
      } catch {
        // Nobody reads stderr any more; the exit status still tells.
      }
    },
  };
  return run(args, terminal);
}

function writeAll(stream: typeof Deno.stdout, text: string): void {
  const bytes = encoder.encode(text);
  for (let sent = 0; sent < bytes.length;) sent += stream.writeSync(bytes.subarray(sent));
}

if (import.meta.main) Deno.exit(await main(Deno.args));
