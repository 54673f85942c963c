/**
 * The driver of libcni, the reference library of CNI: a small Go program (tests/libcni), built once
 * into the user's cache, before the tests are isolated and while there still is a network. Without Go,
 * or without Go's module proxy, there is none, and the tests that want it say why they are skipped.
 *
 * The library needs a newer Go than some releases of Debian have: then that one fetches, as a module,
 * the one that Go's own makers publish, and is refused any other by its sum.
 */

import { messageOf } from "../../../lib/base/error.ts";
import { cacheFolder } from "../program/assets.ts";
import { findProgram, missingProgram } from "../program/program.ts";

/** Where the driver is, or why there is none, for the tests inside. */
const PATH_VARIABLE = "CALYX_LIBCNI";
const PROBLEM_VARIABLE = "CALYX_LIBCNI_PROBLEM";

const SOURCES = `${import.meta.dirname}/../../libcni`;
const SOURCE_NAMES = ["main.go", "go.mod", "go.sum"];
/** A proxy that does not answer is given up after this, and so is a build that hangs. */
const TIMEOUT_MS = 600_000;

/** The Go that go.mod asks for, for machines that have an older one. */
const GO_MINOR_MIN = 21;
const TOOLCHAIN = "golang.org/toolchain@v0.0.1-go1.21.13.linux-amd64";
const TOOLCHAIN_SUM = "h1:THKeCuuOK6mnQhbTbvvH9CKU3D4lwUERQax+yRXCVJk=";

/**
 * Builds the driver, unless it is there.
 *
 * @param say takes a line for people, where it takes a while
 * @returns the variables by which the tests find it, or find out why there is none
 */
export async function prepareLibcni(say: (line: string) => void): Promise<Record<string, string>> {
  const path = await driverPath();
  if (await isFile(path)) return { [PATH_VARIABLE]: path };
  try {
    const go = findProgram("go");
    if (go === undefined) throw new Error(missingProgram(["go"]));
    say("building the driver of libcni");
    await build(go, path);
    return { [PATH_VARIABLE]: path };
  } catch (error) {
    const reason = messageOf(error);
    return { [PROBLEM_VARIABLE]: `the driver of libcni cannot be built: ${reason}` };
  }
}

/** The driver, or why there is none. */
export function findLibcni():
  | { readonly path: string; readonly problem?: undefined }
  | { readonly path?: undefined; readonly problem: string } {
  const path = Deno.env.get(PATH_VARIABLE);
  if (path !== undefined) return { path };
  const reason = "the driver of libcni is built by `deno task test` alone";
  return { problem: Deno.env.get(PROBLEM_VARIABLE) ?? reason };
}

/** Each version of the sources has a path of its own: a test never runs an old driver or overwrites a running one. */
async function driverPath(): Promise<string> {
  const texts = await Promise.all(
    SOURCE_NAMES.map((it) => Deno.readTextFile(`${SOURCES}/${it}`)),
  );
  const bytes = new TextEncoder().encode(texts.join("\0"));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  return `${cacheFolder(Deno.env.toObject())}/libcni-${digest.slice(0, 12)}`;
}

async function build(go: string, path: string): Promise<void> {
  const folder = path.slice(0, path.lastIndexOf("/"));
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const scratch = await Deno.makeTempDir({ dir: folder, prefix: "libcni." });
  try {
    const program = `${scratch}/driver`;
    const flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-o", program];
    const newEnough = await hasNewEnoughGo(go) ? go : await fetchGo(go, scratch);
    await run(newEnough, ["build", ...flags, "."], SOURCES);
    await Deno.rename(program, path);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

async function hasNewEnoughGo(go: string): Promise<boolean> {
  const [, minor] = /^go1\.(\d+)/.exec(await run(go, ["env", "GOVERSION"], "/")) ?? [];
  return Number(minor ?? 0) >= GO_MINOR_MIN;
}

/** Has an old Go fetch a newer one into its cache of modules, where it lies without execute bits. */
async function fetchGo(go: string, scratch: string): Promise<string> {
  if (Deno.build.arch !== "x86_64") throw new Error(`Go is older than 1.${GO_MINOR_MIN}`);
  const { Dir, Sum }: { Dir: string; Sum: string } = JSON.parse(
    await run(go, ["mod", "download", "-json", TOOLCHAIN], scratch),
  );
  if (Sum !== TOOLCHAIN_SUM) throw new Error(`${TOOLCHAIN} is refused: its sum is ${Sum}`);
  for (const name of ["bin", "pkg/tool/linux_amd64"]) {
    for await (const it of Deno.readDir(`${Dir}/${name}`)) {
      if (it.isFile) await Deno.chmod(`${Dir}/${name}/${it.name}`, 0o755);
    }
  }
  return `${Dir}/bin/go`;
}

/** Runs Go; its stdout. */
async function run(go: string, args: readonly string[], cwd: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(go, {
    args: [...args],
    cwd,
    // The Go that was found, not one that it would fetch by itself; and no C compiler.
    env: { GOTOOLCHAIN: "local", GOFLAGS: "", GOROOT: "", CGO_ENABLED: "0" },
    stdin: "null",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).output();
  const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trim();
  if (success) return decode(stdout);
  const lines = decode(stderr).split("\n").filter((it) => !/^(#|go: downloading) /.test(it));
  throw new Error(`go ${args[0]}: ${lines[0] ?? "no reason given, or none in time"}`);
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((it) => it.isFile, () => false);
}
