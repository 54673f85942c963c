/**
 * `deno task bench`: prints what things cost, beside the cost of another way to do them. Builds the
 * executables, goes into namespaces of its own, measures. Nothing here asserts a time: machines differ,
 * and this one may be busy; read medians and ratios.
 */

import { messageOf } from "../../lib/base/error.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import { flagSpecOf, readValues } from "../../lib/settings/read.ts";
import { IsolationError, runIsolated } from "../support/isolation/isolate.ts";
import { compileBareProgram } from "./bare_program.ts";
import type { BenchmarkOptions, Peer } from "./benchmark.ts";
import { FLAGS, HELP } from "./flags.ts";

async function main(args: readonly string[]): Promise<number> {
  const dist = await Deno.realPath(`${import.meta.dirname}/../..`) + "/dist";
  let options: Omit<BenchmarkOptions, "barePath">;
  try {
    const parsed = parseOptions(args);
    if (parsed === undefined) return print(HELP);
    options = parsed;
  } catch (error) {
    return fail(`${messageOf(error)}\n\n${HELP}`);
  }
  const build = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../../deploy/build/build.ts", import.meta.url).href],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).outputSync();
  if (!build.success) return fail("The build failed: see above");
  if (!options.isJson) Deno.stdout.writeSync(build.stdout);
  try {
    const barePath = await compileBareProgram(dist);
    const all: BenchmarkOptions = { ...options, barePath };
    return await runIsolated(new URL("./inside.ts", import.meta.url), [JSON.stringify(all)]);
  } catch (error) {
    if (error instanceof IsolationError) {
      return fail(`${error.message}: run it as root, or allow user namespaces`);
    }
    return fail(messageOf(error));
  }
}

/** @returns undefined when help is wanted. @throws {SyntaxError | RangeError} naming the flag */
function parseOptions(args: readonly string[]): Omit<BenchmarkOptions, "barePath"> | undefined {
  const flags = parseFlags(args, flagSpecOf(FLAGS));
  const { help, filter = "", isJson, runs, pods, policies, peer, peerConfiguration } = readValues(
    FLAGS,
    flags,
  );
  if (help) return undefined;
  // Ten policies a namespace, so that every pod of the node is governed.
  const namespaces = Math.max(1, Math.min(100, Math.ceil(pods / 100), Math.ceil(policies / 10)));
  return {
    filter: [...flags.words, ...filter.split(/[\s,]+/)].filter((word) => word !== ""),
    isJson,
    runs,
    cluster: { namespaces, pods, localPods: Math.min(100, pods), policies },
    peer: parsePeer(peer, peerConfiguration),
  };
}

/** @throws {SyntaxError} if one comes without the other, or the file is no JSON */
function parsePeer(path: string | undefined, file: string | undefined): Peer | undefined {
  if (path === undefined && file === undefined) return undefined;
  if (path === undefined || file === undefined) {
    throw new SyntaxError(`Flags "--peer" and "--peer-conf" come together`);
  }
  const configuration = Deno.readTextFileSync(file);
  JSON.parse(configuration);
  return { path: Deno.realPathSync(path), configuration };
}

function print(text: string): number {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  return 0;
}

function fail(message: string): number {
  Deno.stderr.writeSync(new TextEncoder().encode(`bench: ${message}\n`));
  return 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
