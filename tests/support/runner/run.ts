/**
 * Runs the test suite: `deno task test [word…] [--flag…]`. A word selects the test files whose path it
 * is in, or that import a file so named; flags (`--filter …`, `--fail-fast`) go to `deno test`.
 * `deno task test:unit` (`--unit`) takes the files that need no namespaces and no executables, and runs
 * them here, in several processes; `deno task test:kernel` (`--kernel`) takes those that ask the kernel.
 *
 * What needs the network comes first (dependencies, the build); then one `deno test` runs over
 * everything in namespaces of its own. The last line is `tests: N passed, N failed[, N skipped]`; a
 * type check or build that fails counts as one failed test, and so does a filter that lets no test
 * through. Where the machine gives no namespaces,
 * the files that ask for them (isolation.ts) are left out and counted as skipped.
 */

import { parseArguments } from "./arguments.ts";
import { boundCommand, IsolationError, runIsolated } from "../isolation/isolate.ts";
import { watchLaunchers } from "../isolation/launcher.ts";
import { prepareLibcni } from "../plugin/libcni_driver.ts";
import { ASKS_KERNEL, isOfSpeed } from "./speed.ts";
import {
  addSummaries,
  formatSummary,
  hasTriedNothing,
  parseSummary,
  type Summary,
} from "./summary.ts";

const ROOT = await Deno.realPath(`${import.meta.dirname}/../../..`);
const FOLDERS = ["agent", "cni", "ctl", "deploy", "lib", "tests"];

/** What needs the network, and so comes before the isolation. */
const CHECK = { what: "checking types, fetching dependencies", args: ["check", "-q", "."] };
const BUILD = { what: "building", args: ["run", "-A", "deploy/build/build.ts"] };

/** More only wait for each other. */
const PROCESSES_MAX = 8;

/** How much of the output is kept to find the closing line in. */
const TAIL_BYTES = 64 << 10;

/** A test file and what it says. */
interface TestFile {
  readonly path: string;
  readonly text: string;
}

async function main(args: readonly string[]): Promise<Summary> {
  const { flags, words, speed } = parseArguments(args);
  const files = (await listTestFiles())
    .filter((file) => isOfSpeed(file.text, speed) && isSelected(file, words));
  if (files.length === 0) {
    say(`tests: no ${speed === "all" ? "" : `${speed} `}test file matches ${words.join(" ")}`);
    return { passed: 0, failed: 1, skipped: 0, filtered: 0 };
  }
  let failed = 0;
  for (const { what, args } of speed === "unit" ? [CHECK] : [CHECK, BUILD]) {
    say(`tests: ${what}`);
    if (await deno(args)) continue;
    say(`tests: ${what}: failed, which counts as one failed test`);
    failed++;
  }
  const result = speed === "unit" ? await testHere(files, flags) : await test(files, flags);
  if (hasTriedNothing(result)) {
    say(`tests: ${flags.join(" ")} lets none of ${result.filtered} tests through`);
    failed++;
  }
  return { ...result, failed: result.failed + failed };
}

/**
 * Runs `files` as they are, in as many processes as there are processors: threads of one process, which
 * `deno test --parallel` has, would share descriptors, and tests close and count them.
 */
async function testHere(files: readonly TestFile[], flags: readonly string[]): Promise<Summary> {
  const count = Math.min(navigator.hardwareConcurrency, files.length, PROCESSES_MAX);
  const summaries = await Promise.all(Array.from({ length: count }, async (_, process) => {
    const own = files.filter((_, index) => index % count === process).map((it) => it.path);
    const output = new Tail({ isByLine: true });
    const { text, code } = await denoTest([...flags, ...own], colour(), output);
    output.end();
    return summarize(text, code);
  }));
  return summaries.reduce(addSummaries);
}

async function listTestFiles(): Promise<readonly TestFile[]> {
  const files: TestFile[] = [];
  const visit = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(`${ROOT}/${folder}`)) {
      const path = `${folder}/${name}`;
      if (isDirectory) await visit(path);
      else if (name.endsWith("_test.ts")) {
        files.push({ path, text: await Deno.readTextFile(`${ROOT}/${path}`) });
      }
    }
  };
  for (const folder of FOLDERS) await visit(folder);
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

function isSelected({ path, text }: TestFile, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const imports = [...text.matchAll(/ from "(?:[^"]*\/)?([^"/]+)"/g)].map(([, name]) => name ?? "");
  return words.some((word) => path.includes(word) || imports.some((it) => it.includes(word)));
}

/** Runs `files` isolated; where that cannot be, the ones that can do without. */
async function test(files: readonly TestFile[], flags: readonly string[]): Promise<Summary> {
  const needsLibcni = files.some((it) => it.text.includes("/libcni.ts"));
  const libcni = needsLibcni ? await prepareLibcni((it) => say(`tests: ${it}`)) : {};
  const env = { CALYX_DIST: `${ROOT}/dist`, ...libcni, ...colour() };
  const words = [...flags, ...files.map((it) => it.path)];
  const output = new Tail();
  try {
    const suite = new URL("suite.ts", import.meta.url);
    const code = await runIsolated(suite, words, { env, onOutput: (it) => output.write(it) });
    return summarize(output.text, code);
  } catch (error) {
    if (!(error instanceof IsolationError)) throw error;
    return await testOutside(files, flags, env, error.message);
  }
}

async function testOutside(
  files: readonly TestFile[],
  flags: readonly string[],
  env: Record<string, string>,
  reason: string,
): Promise<Summary> {
  const needy = files.filter((it) => it.text.includes(ASKS_KERNEL));
  const rest = files.filter((it) => !needy.includes(it)).map((it) => it.path);
  const left = needy.length === 0 ? "nothing here asks for them" : "skipped is every test in " +
    needy.map((it) => it.path).join(", ");
  say(`tests: ${reason}: ${left}`);
  // Loads them without running any, to count what is left out.
  const never = ["--filter", "/(?!)/", ...needy.map((it) => it.path)];
  const counted = needy.length === 0 ? undefined : parseSummary((await denoTest(never, env)).text);
  const skipped = counted?.filtered ?? needy.length;
  if (rest.length === 0) return { passed: 0, failed: 0, skipped, filtered: 0 };
  const { text, code } = await denoTest([...flags, ...rest], env, new Tail());
  const result = summarize(text, code);
  return { ...result, skipped: result.skipped + skipped };
}

/** Runs `deno test` here; what it prints is shown through `tail`, or not at all. */
async function denoTest(
  args: readonly string[],
  env: Record<string, string>,
  tail?: Tail,
): Promise<{ readonly text: string; readonly code: number }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", ...args],
    cwd: ROOT,
    env,
    stdin: "null",
    stdout: "piped",
    stderr: tail === undefined ? "null" : "inherit",
  });
  if (tail === undefined) {
    const { stdout, code } = await command.output();
    return { text: new TextDecoder().decode(stdout), code };
  }
  const child = command.spawn();
  for await (const chunk of child.stdout) tail.write(chunk);
  return { text: tail.text, code: (await child.status).code };
}

function summarize(text: string, code: number): Summary {
  const summary = parseSummary(text);
  if (summary === undefined) {
    say(`tests: deno test ended with code ${code} and no closing line: counted as one failed test`);
    return { passed: 0, failed: 1, skipped: 0, filtered: 0 };
  }
  // A sanitizer or an uncaught error may fail a run in which every test passed.
  return { ...summary, failed: code === 0 ? summary.failed : Math.max(1, summary.failed) };
}

/** Passes output on and keeps its end. */
class Tail {
  text = "";
  readonly #decoder = new TextDecoder();
  readonly #isByLine: boolean;
  #pending = "";

  /** @param isByLine whether lines are passed on whole, because others write beside it */
  constructor({ isByLine = false }: { readonly isByLine?: boolean } = {}) {
    this.#isByLine = isByLine;
  }

  write(chunk: Uint8Array): void {
    const text = this.#decoder.decode(chunk, { stream: true });
    this.text = (this.text + text).slice(-TAIL_BYTES);
    this.#pending += text;
    const end = this.#isByLine ? this.#pending.lastIndexOf("\n") + 1 : this.#pending.length;
    print(this.#pending.slice(0, end));
    this.#pending = this.#pending.slice(end);
  }

  /** Passes on what is left of a line. */
  end(): void {
    print(this.#pending);
    this.#pending = "";
  }
}

/** Colours survive the pipe where they would be seen. */
function colour(): Record<string, string> {
  const seen = Deno.stdout.isTerminal() && !Deno.noColor;
  return seen ? { FORCE_COLOR: "1" } : { NO_COLOR: "1" };
}

async function deno(args: readonly string[]): Promise<boolean> {
  const command = boundCommand([Deno.execPath(), ...args], { cwd: ROOT, stdin: "null" });
  return (await command.spawn().status).success;
}

function say(line: string): void {
  print(line + "\n");
}

function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += Deno.stdout.writeSync(bytes.subarray(sent));
}

using _watch = watchLaunchers(() => Deno.exit(129));
const summary = await main(Deno.args);
say(formatSummary(summary));
Deno.exit(summary.failed === 0 ? 0 : 1);
