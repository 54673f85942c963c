/**
 * What decides the result of a build, as one hash, and the record of what was built from it: a build
 * with nothing new to it does nothing.
 */

/** By executable: the hash of what it was built from, and its size. */
export type Records = Record<string, BuildRecord>;

/** One executable as it was built. */
export interface BuildRecord {
  readonly inputs: string;
  readonly size: number;
}

const FILE = ".build.json";

/** Where sources are: what is in these folders decides whether there is something to build. */
const SOURCES = ["agent", "cni", "ctl", "deploy", "lib"];

/** The commit, "-dirty" where tracked files differ from it, or "unknown" outside a repository. */
export async function readCommit(root: string): Promise<string> {
  const commit = await git(root, "rev-parse", "--short=12", "HEAD");
  if (commit === undefined) return "unknown";
  const changes = await git(root, "status", "--porcelain", "--untracked-files=no");
  return changes === "" ? commit : `${commit}-dirty`;
}

async function git(root: string, ...args: string[]): Promise<string | undefined> {
  const command = new Deno.Command("git", { args: ["-C", root, ...args], stderr: "null" });
  const output = await command.output().catch(() => undefined); // no git on this machine
  return output?.success ? new TextDecoder().decode(output.stdout).trim() : undefined;
}

/**
 * The SHA-256 over all sources, the configuration, the lock file, this Deno, a base given in
 * `DENORT_BIN`, and `facts` besides.
 */
export async function hashInputs(root: string, facts: readonly string[]): Promise<string> {
  const base = Deno.env.get("DENORT_BIN");
  const stat = base === undefined ? undefined : await Deno.stat(base).catch(() => undefined);
  const parts = [JSON.stringify([...facts, Deno.version, base, stat?.size, stat?.mtime])];
  const paths = [`${root}/deno.json`, `${root}/deno.lock`];
  for (const folder of SOURCES) await listSources(`${root}/${folder}`, paths);
  for (const path of paths.sort()) {
    parts.push(path.slice(root.length), await Deno.readTextFile(path));
  }
  const bytes = new TextEncoder().encode(parts.join("\0"));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function listSources(folder: string, into: string[]): Promise<void> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) await listSources(path, into);
    else if (/(?<!_test|_bench)\.ts$/.test(entry.name)) into.push(path);
  }
}

/** The records in `dist`; none where there is no file, or one that is not ours. */
export async function readRecords(dist: string): Promise<Records> {
  try {
    return JSON.parse(await Deno.readTextFile(`${dist}/${FILE}`));
  } catch {
    return {}; // everything is built again
  }
}

/** Replaces the records in `dist`. */
export async function writeRecords(dist: string, records: Records): Promise<void> {
  const path = `${dist}/${FILE}`;
  await Deno.writeTextFile(`${path}.new`, JSON.stringify(records, undefined, 2) + "\n");
  await Deno.rename(`${path}.new`, path);
}

/** Whether the executable at `path` is the one in its record, and that one built from `inputs`. */
export async function isCurrent(
  path: string,
  inputs: string,
  record: BuildRecord | undefined,
): Promise<boolean> {
  const file = await Deno.stat(path).catch(() => undefined);
  return record?.inputs === inputs && record.size === file?.size;
}
