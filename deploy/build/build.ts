/**
 * Builds the executables: bundles each part into one file, writes version and commit over their
 * marks, and compiles it to `dist/`. The same sources, commit and Deno give the same bytes.
 *
 *     deno task build [--target aarch64-unknown-linux-gnu] [calyx] [calyx-agent] [calyxctl]
 *
 * Not for finding the compile base (compile_base.ts) nor for installing (install.sh).
 */

import { parseFlags } from "../../lib/base/flags.ts";
import {
  type Bundle,
  bundle,
  bundleScript,
  CLIENT_NODE,
  CLIENT_NODE_FILE,
  CLIENT_NODE_PACK,
  packClientNode,
  SCRIPT,
  SCRIPT_CACHE,
} from "./bundle.ts";
import { hashInputs, isCurrent, readCommit, readRecords, writeRecords } from "./build_record.ts";
import { makeCodeCache } from "./code_cache.ts";
import { CompileBaseError, resolveCompileBase, type Target } from "./compile_base.ts";
import { BuildError, openStage, runDeno, writeUndated } from "./stage.ts";

/** What is built, and what each program may do. */
interface Executable {
  readonly name: string;
  readonly entry: string;
  /** Permissions of Deno, of the ones that `deno compile` takes as --allow-…. */
  readonly permissions: readonly string[];
  /**
   * Where its start is what matters: the program is a script with a code cache, and these files, beside
   * the entry, are what it imports at need.
   */
  readonly apart?: readonly string[];
  readonly v8Flags?: readonly string[];
}

/*
 * Permissions are guard rails here, not a sandbox: a program that may call FFI can do anything, and two
 * need FFI for netlink. They are listed rather than `-A` because, without `-A`, Deno refuses to
 * open what is under /proc, /sys and /dev: such access then goes through lib/kernel or not at all,
 * and a dependency cannot look there. `--allow-ffi` is bare because Deno resolves
 * `--allow-ffi=libc.so.6` against the working directory.
 *
 * | permission | calyx                     | calyx-agent               | calyxctl                 |
 * |------------|---------------------------|---------------------------|--------------------------|
 * | ffi        | netlink, namespaces       | netlink, poll             | no                       |
 * | read       | addresses, kubeconfig     | tokens, certificates      | kubeconfig, files of -f  |
 * | write      | address files, log file   | socket, state folder      | pipes of credentials [1] |
 * | net        | API server                | API server, health        | API server               |
 * | env        | CNI_*, settings           | settings                  | settings                 |
 * | run        | delegated IPAM plugins    | kubeconfig exec plug-ins  | kubeconfig exec plug-ins |
 * | sys        | host name, user           | host name, user           | host name, user          |
 *
 * [1] A pipe is opened for reading and writing, so that one without a writer does not hold the program
 *     (lib/credentials/material.ts). Nothing is written.
 *
 * None uses Deno's own code cache, which would lie under a predictable name in /tmp and be read back
 * without asking whose it is; the plugin carries its own (code_cache.ts). The plugin also goes without
 * V8's optimizing compilers: a program of a few milliseconds ends before they pay, and they bring 4 MB
 * into memory. Of the other flags none of --single-threaded, --lite-mode, --max-lazy and
 * --max-semi-space-size=1 made a start shorter or smaller by more than starts differ among themselves. The
 * agent's young generation is held small: what an event leaves behind dies at once, and V8 would let it
 * grow to three times 16 MB during the first lists, and keep it.
 */
const COMMON = ["read", "write", "net", "env", "run", "sys"];
const NODE = ["ffi", ...COMMON];

const EXECUTABLES: readonly Executable[] = [
  {
    name: "calyx",
    entry: "cni/main.ts",
    permissions: NODE,
    apart: ["node_api.ts"],
    v8Flags: ["--no-opt", "--no-maglev"],
  },
  {
    name: "calyx-agent",
    entry: "agent/main.ts",
    permissions: NODE,
    v8Flags: ["--max-semi-space-size=8"],
  },
  { name: "calyxctl", entry: "ctl/main.ts", permissions: COMMON },
];

const HOST_TARGET: Target = Deno.build.arch === "aarch64"
  ? "aarch64-unknown-linux-gnu"
  : "x86_64-unknown-linux-gnu";

const VERSION_MARK = "__CALYX_VERSION__";
const COMMIT_MARK = "__CALYX_COMMIT__";

/** What we read of deno.json. */
interface Configuration {
  readonly version: string;
  readonly imports?: Readonly<Record<string, string>>;
  readonly scopes?: Readonly<Record<string, Readonly<Record<string, string>>>>;
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

  const root = await Deno.realPath(`${import.meta.dirname}/../..`);
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
  const imports = { [CLIENT_NODE]: `./${CLIENT_NODE_FILE}` };
  const stage = await openStage(dist, { imports, nodeModulesDir: "none" });
  try {
    const base = await resolveCompileBase(target, stage);
    say(`build: base: ${base.reason}`);
    const marks = { [VERSION_MARK]: config.version, [COMMIT_MARK]: commit };
    // A cache is made by running a program of the target.
    const hasCache = target === HOST_TARGET;
    const bundles = new Map<Executable, Bundle>();
    for (const it of stale) {
      const folder = `${stage}/${it.name}.d`;
      bundles.set(
        it,
        it.apart === undefined
          ? await bundle(root, it.entry, folder, marks)
          : await bundleScript(root, it.entry, { apart: it.apart, hasCache }, folder, marks),
      );
    }
    if ([...bundles.values()].some((it) => it.needsClientNode)) {
      await packClientNode(root, stage, specifierOf(config, CLIENT_NODE));
    }
    for (const [it, bundle] of bundles) {
      const output = await compile(it, bundle, stage, target, base.path);
      const { size } = await Deno.stat(output);
      const sha256 = await crypto.subtle.digest("SHA-256", await Deno.readFile(output));
      const place = `${dist}/${it.name}`;
      await Deno.rename(output, place);
      records[it.name] = { inputs, size };
      await writeRecords(dist, records);
      say(
        `build: ${place.slice(root.length + 1)} (${(size / 1e6).toFixed(1)} MB, of them ` +
          `${(bundle.bytes / 1e3).toFixed(0)} kB ours; ` +
          `SHA-256 ${new Uint8Array(sha256).toHex().slice(0, 16)}…)`,
      );
    }
  } finally {
    await Deno.remove(stage, { recursive: true });
  }
}

/** What `name` is bound to in deno.json. */
function specifierOf({ imports, scopes = {} }: Configuration, name: string): string {
  const bound = [imports, ...Object.values(scopes)].map((it) => it?.[name]);
  const specifier = bound.find((it) => it !== undefined);
  if (specifier === undefined) throw new BuildError(`deno.json does not bind ${name}`);
  return specifier;
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

/** Compiles one bundle in the stage. @returns the executable's path */
async function compile(
  { name, permissions, apart, v8Flags = [] }: Executable,
  { main, included, needsClientNode }: Bundle,
  stage: string,
  target: Target,
  base: string | undefined,
): Promise<string> {
  const folder = main.slice(0, main.lastIndexOf("/"));
  const files = included.map((it) => `${folder}/${it}`);
  if (needsClientNode) files.push(`${stage}/${CLIENT_NODE_PACK}`);
  if (apart !== undefined) {
    files.push(`${folder}/${SCRIPT}`);
    if (target === HOST_TARGET) {
      const cache = await makeCodeCache(`${folder}/${SCRIPT}`, stage, (main, name, more = []) => {
        const flags = ["-A", ...formatV8Flags([...v8Flags, ...more])];
        return compileFile(main, { name, flags }, stage, base);
      });
      await writeUndated(`${folder}/${SCRIPT_CACHE}`, cache);
      files.push(`${folder}/${SCRIPT_CACHE}`);
    } else {
      say(`build: ${name} for ${target} has no code cache: only that machine could make it`);
    }
  }
  const flags = [
    ...["--target", target],
    ...formatV8Flags(v8Flags),
    ...permissions.map((it) => `--allow-${it}`),
    ...files.flatMap((it) => ["--include", it]),
  ];
  return await compileFile(main, { name, flags }, stage, base);
}

function formatV8Flags(flags: readonly string[]): readonly string[] {
  return flags.length === 0 ? [] : [`--v8-flags=${flags.join(",")}`];
}

/** Compiles `main` to the file `name` in the stage. @returns its path */
async function compileFile(
  main: string,
  { name, flags }: { readonly name: string; readonly flags: readonly string[] },
  stage: string,
  base: string | undefined,
): Promise<string> {
  const output = `${stage}/${name}`;
  const args = [
    ...["compile", "-q", "--no-check", "--no-lock", "--no-npm", "--no-remote"],
    ...["--no-code-cache", "--no-prompt", "-o", output, ...flags, main],
  ];
  await runDeno(args, stage, base === undefined ? {} : { DENORT_BIN: base });
  await Deno.chmod(output, 0o755);
  return output;
}

function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}
