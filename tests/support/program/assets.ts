/**
 * Programs of Kubernetes and etcd for tests that use the real ones. None is downloaded: they are
 * found where the machine has them, or the test says why it is skipped.
 *
 * Looked for, in this order: the file that `TEST_ASSET_<NAME>` names (`TEST_ASSET_KUBE_APISERVER`),
 * the folder `KUBEBUILDER_ASSETS`, the folder `bin` in each folder beside the project that no other user
 * can write to (also as `<name>.xz`, unpacked once into the user's cache), `PATH`.
 */

import { messageOf } from "../../../lib/base/error.ts";

/** Paths by name, or in one line what is missing. */
export type Assets<Name extends string> =
  | { readonly paths: Readonly<Record<Name, string>>; readonly missing?: undefined }
  | { readonly paths?: undefined; readonly missing: string };

/** Where to look. */
export interface AssetPlaces {
  /** @default {this process' environment} */
  readonly env?: Readonly<Record<string, string>>;
  /** The project's folder, with a slash at its end. */
  readonly root?: string;
}

const ROOT = `${import.meta.dirname}/../../../`;

/** Finds every program of `names`. */
export async function findAssets<Name extends string>(
  names: readonly Name[],
  { env = Deno.env.toObject(), root = ROOT }: AssetPlaces = {},
): Promise<Assets<Name>> {
  const paths: Partial<Record<Name, string>> = {};
  for (const name of names) {
    try {
      const path = await findAsset(name, env, root);
      if (path === undefined) return { missing: missing(name) };
      paths[name] = path;
    } catch (error) {
      return {
        missing: `${name} cannot be had: ${messageOf(error)}`,
      };
    }
  }
  return { paths: paths as Record<Name, string> };
}

async function findAsset(
  name: string,
  env: Readonly<Record<string, string>>,
  root: string,
): Promise<string | undefined> {
  const named = env[variableOf(name)] ?? "";
  if (named !== "") {
    if (await isFile(named)) return named;
    throw new Error(`${variableOf(name)} names "${named}", which is no file`);
  }
  const folder = env.KUBEBUILDER_ASSETS ?? "";
  if (folder !== "" && await isFile(`${folder}/${name}`)) return `${folder}/${name}`;
  for (const beside of await listNeighbours(root)) {
    const path = `${beside}/bin/${name}`;
    if (await isFile(path)) return path;
    if (await isFile(`${path}.xz`)) return await unpack(`${path}.xz`, name, cacheFolder(env));
  }
  for (const directory of (env.PATH ?? "").split(":")) {
    if (directory !== "" && await isFile(`${directory}/${name}`)) return `${directory}/${name}`;
  }
  return undefined;
}

/** The folders beside the project, by name, except those that other users can write to. */
async function listNeighbours(root: string): Promise<readonly string[]> {
  const parent = await Deno.realPath(`${root}..`);
  const names = await Array.fromAsync(Deno.readDir(parent), (it) => it.name);
  const trusted: string[] = [];
  for (const path of names.sort().map((it) => `${parent}/${it}`)) {
    const info = await Deno.stat(`${path}/bin`).catch(() => undefined);
    if (info === undefined || !info.isDirectory) continue;
    const isTrusted = [0, Deno.uid()].includes(info.uid ?? -1) && ((info.mode ?? 0) & 0o022) === 0;
    if (isTrusted) trusted.push(path);
  }
  return trusted;
}

/** Unpacks `archive` once; another archive under the same name gets a folder of its own. */
async function unpack(archive: string, name: string, cache: string): Promise<string> {
  const { size, mtime } = await Deno.stat(archive);
  const folder = `${cache}/assets/${size}-${mtime?.getTime() ?? 0}`;
  const path = `${folder}/${name}`;
  if (await isFile(path)) return path;
  await Deno.mkdir(folder, { recursive: true });
  // Under another name first, so that no test runs half a program.
  const partial = await Deno.makeTempFile({ dir: folder, prefix: `${name}.` });
  try {
    const { success, stderr } = await new Deno.Command("sh", {
      args: ["-c", 'xz -dc "$1" >"$2"', "sh", archive, partial],
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
    await Deno.chmod(partial, 0o755);
    await Deno.rename(partial, path);
  } catch (error) {
    await Deno.remove(partial).catch(() => {});
    throw error;
  }
  return path;
}

/** The folder in the user's cache for what tests unpack or build. */
export function cacheFolder(env: Readonly<Record<string, string>>): string {
  const cache = env.XDG_CACHE_HOME ?? "";
  return `${cache === "" ? `${env.HOME ?? "/tmp"}/.cache` : cache}/calyx`;
}

function missing(name: string): string {
  return `no ${name} on this machine: set ${variableOf(name)} or KUBEBUILDER_ASSETS`;
}

function variableOf(name: string): string {
  return `TEST_ASSET_${name.toUpperCase().replaceAll("-", "_")}`;
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((it) => it.isFile, () => false);
}
