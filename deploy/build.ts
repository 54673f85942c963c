/**
 * Builds the executables: bundles each part into one file, writes version and commit over their
 * marks, and compiles it to `dist/`. The same sources, commit and Deno give the same bytes.
 *
 *     deno task build [--target aarch64-unknown-linux-gnu] [calyx] [calyx-agent] [calyxctl]
 *
 * Not for finding the compile base (compile_base.ts) nor for installing (install.sh).
 */

import { formatHex } from "../lib/base/bytes.ts";
import { parseFlags } from "../lib/base/flags.ts";
import { hashInputs, isCurrent, readCommit, readRecords, writeRecords } from "./build_record.ts";
import { CompileBaseError, resolveCompileBase, type Target } from "./compile_base.ts";

/** What is built, and what each program may do. */
interface Executable {
  readonly name: string;
  readonly entry: string;
  /** Permissions of Deno, of the ones that `deno compile` takes as --allow-…. */
  readonly permissions: readonly string[];
  readonly v8Flags: readonly string[];
}

/*
 * Permissions are guard rails here, not a sandbox: whoever may call FFI may do anything, and all
 * three need FFI for netlink. They are listed rather than `-A` because, without `-A`, Deno refuses to
 * open what is under /proc, /sys and /dev: such access then goes through lib/kernel or not at all,
 * and a dependency cannot look there. `--allow-ffi` is bare because Deno resolves
 * `--allow-ffi=libc.so.6` against the working directory.
 *
 * | permission | calyx                     | calyx-agent               | calyxctl                 |
 * |------------|---------------------------|---------------------------|--------------------------|
 * | ffi        | netlink, namespaces       | netlink, poll             | netlink (`node`, `drops`)|
 * | read       | addresses, kubeconfig     | tokens, certificates      | kubeconfig, files of -f  |
 * | write      | address files, sockets    | its socket                | its side of that socket  |
 * | net        | agent's socket, API server| API server, health        | API server, agent        |
 * | env        | CNI_*, settings           | settings                  | settings                 |
 * | run        | delegated IPAM plugins    | kubeconfig exec plug-ins  | kubeconfig exec plug-ins |
 * | sys        | host name, user           | host name, user           | host name, user          |
 *
 * None has a code cache: Deno would keep it under a predictable name in /tmp and read it back without
 * asking whose it is.
 */
const COMMON = ["ffi", "read", "write", "net", "env", "run", "sys"];

const EXECUTABLES: readonly Executable[] = [
  {
    name: "calyx",
    entry: "cni/main.ts",
    permissions: COMMON,
    v8Flags: [],
  },
  { name: "calyx-agent", entry: "agent/main.ts", permissions: COMMON, v8Flags: [] },
  { name: "calyxctl", entry: "ctl/main.ts", permissions: COMMON, v8Flags: [] },
];

const HOST_TARGET: Target = Deno.build.arch === "aarch64"
  ? "aarch64-unknown-linux-gnu"
  : "x86_64-unknown-linux-gnu";

const CLIENT_NODE = "@kubernetes/client-node";
const VERSION_MARK = "__CALYX_VERSION__";
const COMMIT_MARK = "__CALYX_COMMIT__";

/** The build cannot go on; the message says why. */
class BuildError extends Error {
  override readonly name = "BuildError";
}

/** What stays the same for all executables of one build. */
interface Build {
  readonly root: string;
  readonly dist: string;
  readonly stage: string;
  readonly target: Target;
  readonly config: Configuration;
  readonly commit: string;
}

/** What we read of deno.json. */
interface Configuration {
  readonly version: string;
  readonly imports: Readonly<Record<string, string>>;
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    const known = error instanceof BuildError || error instanceof CompileBaseError ||
      error instanceof SyntaxError;
    if (!known) throw error;
    say(`build: ${error.message}`);
    Deno.exit(1);
  }
}

async function main(args: readonly string[]): Promise<void> {
  const flags = parseFlags(args, { string: ["target"] });
  const target = parseTarget(flags.get("target") ?? HOST_TARGET);
  const wanted = selectExecutables(flags.words);
  if (Deno.env.get("DENORT_BIN") === "") Deno.env.delete("DENORT_BIN");

  const root = await Deno.realPath(`${import.meta.dirname}/..`);
  const dist = target === HOST_TARGET ? `${root}/dist` : `${root}/dist/${target}`;
  await Deno.mkdir(dist, { recursive: true });
  // One build at a time: the lock goes with the process, however it ends.
  using lock = await Deno.open(`${dist}/.lock`, { create: true, write: true });
  await lock.lock(true);

  const config: Configuration = JSON.parse(await Deno.readTextFile(`${root}/deno.json`));
  const commit = await readCommit(root);
  const inputs = await hashInputs(root, [target, commit]);
  const records = await readRecords(dist);
  const stale = [];
  for (const it of wanted) {
    if (!await isCurrent(`${dist}/${it.name}`, inputs, records[it.name])) stale.push(it);
  }
  if (stale.length === 0) {
    say(`build: up to date (${wanted.map((it) => it.name).join(", ")}; commit ${commit})`);
    return;
  }
  const stage = await openStage(dist);
  try {
    const build: Build = { root, dist, stage, target, config, commit };
    const base = await resolveCompileBase(target, stage);
    say(`build: base: ${base.reason}`);
    const sources = new Map<Executable, string>();
    for (const it of stale) sources.set(it, await bundle(build, it));
    if ([...sources.values()].some((source) => source.includes(CLIENT_NODE))) {
      await bundleClientNode(build);
    }
    for (const [it, source] of sources) {
      const size = await compile(build, it, source, base.path);
      records[it.name] = { inputs, size };
      await writeRecords(dist, records);
    }
  } finally {
    await Deno.remove(stage, { recursive: true });
  }
}

function parseTarget(text: string): Target {
  if (text === "x86_64-unknown-linux-gnu" || text === "aarch64-unknown-linux-gnu") return text;
  throw new BuildError(
    `Target must be x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu: got "${text}"`,
  );
}

function selectExecutables(names: readonly string[]): readonly Executable[] {
  const known = EXECUTABLES.map((it) => it.name);
  const stranger = names.find((name) => !known.includes(name));
  if (stranger !== undefined) {
    throw new BuildError(`Executable must be one of ${known.join(", ")}: got "${stranger}"`);
  }
  return names.length === 0 ? EXECUTABLES : EXECUTABLES.filter((it) => names.includes(it.name));
}

/** A folder beside the results, so that renaming is atomic; what a killed build left there goes. */
async function openStage(dist: string): Promise<string> {
  for await (const { name } of Deno.readDir(dist)) {
    if (name.startsWith(".stage-")) await Deno.remove(`${dist}/${name}`, { recursive: true });
  }
  const stage = await Deno.makeTempDir({ dir: dist, prefix: ".stage-" });
  // A configuration of its own: no node_modules above it is looked at, let alone embedded.
  const config = { imports: { [CLIENT_NODE]: "./client_node.js" }, nodeModulesDir: "none" };
  await Deno.writeTextFile(`${stage}/deno.json`, JSON.stringify(config));
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    Deno.addSignalListener(signal, () => {
      Deno.removeSync(stage, { recursive: true });
      Deno.exit(code);
    });
  }
  return stage;
}

/** Bundles one part, client-node left out of it. @returns the text, its marks replaced */
async function bundle(build: Build, { name, entry }: Executable): Promise<string> {
  const path = `${build.root}/${entry}`;
  if (await Deno.stat(path).catch(() => undefined) === undefined) {
    throw new BuildError(`${name} cannot be built: ${entry} does not exist`);
  }
  const output = `${build.stage}/${name}.js`;
  await deno(`bundle ${entry}`, build.root, [
    ...["bundle", "-q", "--external", CLIENT_NODE, "-o", output, path],
  ]);
  let source = await Deno.readTextFile(output);
  const marks = { [VERSION_MARK]: build.config.version, [COMMIT_MARK]: build.commit };
  for (const [mark, value] of Object.entries(marks)) {
    if (!source.includes(mark)) {
      throw new BuildError(`${name} does not know its version: no ${mark} in ${entry}'s bundle`);
    }
    source = source.replaceAll(mark, value);
  }
  await writeWithFixedTime(output, source);
  return source;
}

/**
 * Bundles client-node apart, once for all: it is 14 MB of text, 3.5 MB minified, and a program that
 * does not import it at run time should pay for reading it only, not for parsing it. Measured on the
 * plugin's start: +20 ms with it inside as it is, +2 ms this way.
 */
async function bundleClientNode(build: Build): Promise<void> {
  const specifier = build.config.imports[CLIENT_NODE];
  if (specifier === undefined) throw new BuildError(`deno.json does not bind ${CLIENT_NODE}`);
  const output = `${build.stage}/client_node.js`;
  await deno(`bundle ${specifier}`, build.root, [
    ...["bundle", "-q", "--minify", "-o", output, specifier],
  ]);
  // Minified, the bundler's own require() for Node's modules is lost: without this line the first
  // `require("punycode")` inside fails.
  const require = 'import { createRequire as _createRequire } from "node:module";\n' +
    "const require = _createRequire(import.meta.url);\n";
  await writeWithFixedTime(output, require + await Deno.readTextFile(output));
}

/** Compiles one bundle and moves it to its place. @returns its size */
async function compile(
  build: Build,
  { name, permissions, v8Flags }: Executable,
  source: string,
  base: string | undefined,
): Promise<number> {
  const output = `${build.stage}/${name}`;
  const args = [
    ...["compile", "-q", "--no-check", "--no-lock", "--no-npm", "--no-remote"],
    ...["--no-code-cache", "--no-prompt", "--target", build.target, "-o", output],
    ...permissions.map((it) => `--allow-${it}`),
    ...(v8Flags.length === 0 ? [] : [`--v8-flags=${v8Flags.join(",")}`]),
    `${output}.js`,
  ];
  await deno(`compile ${name}`, build.stage, args, base);
  await Deno.chmod(output, 0o755);
  const { size } = await Deno.stat(output);
  const sha256 = await crypto.subtle.digest("SHA-256", await Deno.readFile(output));
  await Deno.rename(output, `${build.dist}/${name}`);
  const place = `${build.dist}/${name}`.slice(build.root.length + 1);
  const sizes = `${(size / 1e6).toFixed(1)} MB, of them ${
    (source.length / 1e3).toFixed(0)
  } kB ours`;
  say(`build: ${place} (${sizes}; SHA-256 ${formatHex(new Uint8Array(sha256)).slice(0, 16)}…)`);
  return size;
}

async function deno(
  what: string,
  cwd: string,
  args: readonly string[],
  base?: string,
): Promise<void> {
  const env: Record<string, string> = { NO_COLOR: "1", DENO_TLS_CA_STORE: "system,mozilla" };
  if (base !== undefined) env["DENORT_BIN"] = base;
  const command = new Deno.Command(Deno.execPath(), { args: [...args], cwd, env, stdin: "null" });
  const { success, stderr } = await command.output();
  if (!success) throw new BuildError(`${what}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** `deno compile` embeds the time of each file: one time for all builds makes them comparable. */
async function writeWithFixedTime(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text);
  await Deno.utime(path, 0, 0);
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
