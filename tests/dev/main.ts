/**
 * `deno task dev`: an agent from source beside the small API server, with two pods attached, in namespaces
 * of their own, and a shell in there. See HELP. Not for users: `deno task demo` shows what Calyx does.
 */

import { messageOf } from "../../lib/base/error.ts";
import { IsolationError, runIsolated } from "../support/isolation/isolate.ts";

const HELP = `deno task dev [command…]: a node to try changes on, in namespaces of its own.

  The small API server, an agent from source and two attached pods, "client" and "web". A shell follows,
  with KUBECONFIG set and calyxctl from source in PATH; everything goes when it ends. With a command, that
  runs instead, and its exit code is this one's.

  --help   print this
`;

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "--help") return print(HELP);
  if (args.length === 0 && !Deno.stdin.isTerminal()) {
    return fail(
      "There is no terminal for a shell: give a command, as in `deno task dev calyxctl get wep`",
    );
  }
  try {
    return await runIsolated(new URL("./inside.ts", import.meta.url), args);
  } catch (error) {
    if (!(error instanceof IsolationError)) throw error;
    return fail(`${messageOf(error)}: run it as root, or allow user namespaces`);
  }
}

function print(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return 0;
}

function fail(message: string): number {
  Deno.stderr.writeSync(new TextEncoder().encode(`dev: ${message}\n`));
  return 2;
}

Deno.exit(await main(Deno.args));
