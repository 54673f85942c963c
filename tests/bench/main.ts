/**
 * `deno task bench`: prints what things cost, beside the cost of another way to do them. Builds the
 * executables, goes into namespaces of its own, measures. Nothing here asserts a time: machines differ,
 * and this one may be busy; read medians and ratios.
 */

import { messageOf } from "../../lib/base/error.ts";
import { parseFlags } from "../../lib/base/flags.ts";
import { IsolationError, runIsolated } from "../support/isolation/isolate.ts";
import { compileBareProgram } from "./bare_program.ts";
import type { BenchmarkOptions, Peer } from "./benchmark.ts";

const HELP = `deno task bench [flags] [word…]: print the benchmarks beside an alternative.

  --filter WORDS     only those with one of these words in their name (or give words without it):
                     executables, plugin, agent, event, churn, nft, loss, flow, validation,
                     policies, packet, pure
  --json             print one JSON object: machine, tables, skipped, failed
  --runs N           rounds of each; more takes longer and says more
  --pods N           pods in the big cluster [10000]
  --policies N       policies in the big cluster [1000]
  --peer PATH        another CNI plugin to time beside ours
  --peer-conf FILE   its network configuration, JSON
  --help             print this
`;

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
  const flags = parseFlags(args, {
    boolean: ["json", "help"],
    string: ["filter", "runs", "pods", "policies", "peer", "peer-conf"],
  });
  if (flags.has("help")) return undefined;
  const number = (name: string, usual: number): number => {
    const value = Number(flags.get(name) ?? usual);
    if (Number.isInteger(value) && value > 0) return value;
    throw new RangeError(`Flag "--${name}" must be a number above 0: got "${flags.get(name)}"`);
  };
  const pods = number("pods", 10_000);
  const policies = number("policies", 1_000);
  // Ten policies a namespace, so that every pod of the node is governed.
  const namespaces = Math.max(1, Math.min(100, Math.ceil(pods / 100), Math.ceil(policies / 10)));
  return {
    filter: [...flags.words, ...(flags.get("filter") ?? "").split(/[\s,]+/)]
      .filter((word) => word !== ""),
    isJson: flags.has("json"),
    runs: flags.get("runs") === undefined ? undefined : number("runs", 1),
    cluster: { namespaces, pods, localPods: Math.min(100, pods), policies },
    peer: parsePeer(flags.get("peer"), flags.get("peer-conf")),
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
