/**
 * `deno task demo`: the main job on a machine without a cluster. Builds the executables, goes into
 * namespaces of its own and lets the scenario run there, against a small API server of ours or, with
 * --kubeconfig, against that cluster's, through a relay on a socket (there is no way out of the
 * namespaces otherwise).
 */

import { messageOf } from "../../lib/base/error.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import { openApiServer } from "../../lib/credentials/api_server.ts";
import { flagSpecOf, readValues } from "../../lib/settings/read.ts";
import { IsolationError, runIsolated } from "../support/isolation/isolate.ts";
import { serveRelay } from "../support/kubernetes/relay.ts";
import { FLAGS, HELP } from "./flags.ts";

async function main(args: readonly string[]): Promise<number> {
  let flags;
  try {
    flags = parseFlags(args, flagSpecOf(FLAGS));
    if (flags.words.length > 0) throw new SyntaxError(`Unknown word "${flags.words[0]}"`);
  } catch (error) {
    return fail(`${messageOf(error)}\n\n${HELP}`);
  }
  const { kubeconfig, context, json: isJson, help } = readValues(FLAGS, flags);
  if (help) return print(HELP);
  const build = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../../deploy/build/build.ts", import.meta.url).href],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).outputSync();
  if (!build.success) return fail("The build failed: see above");
  if (!isJson) Deno.stdout.writeSync(build.stdout);

  const inner = [isJson ? "--json" : "--text"];
  const folder = await Deno.makeTempDir({ prefix: "calyx-demo-" });
  try {
    if (kubeconfig === undefined) return await inside(inner);
    await using api = await openApiServer({
      flags: { kubeconfig, ...(context === undefined ? {} : { context }) },
      environment: {},
      userAgent: "calyx-demo",
    });
    await using _relay = serveRelay(api, `${folder}/api.sock`);
    return await inside([...inner, "--relay", `${folder}/api.sock`]);
  } catch (error) {
    return fail(messageOf(error));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function inside(args: readonly string[]): Promise<number> {
  try {
    return await runIsolated(new URL("./inside.ts", import.meta.url), args);
  } catch (error) {
    if (!(error instanceof IsolationError)) throw error;
    return fail(`${error.message}: run it as root, or allow user namespaces`);
  }
}

function print(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return 0;
}

function fail(message: string): number {
  Deno.stderr.writeSync(new TextEncoder().encode(`demo: ${message}\n`));
  return 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
