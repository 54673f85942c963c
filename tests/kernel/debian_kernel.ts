/**
 * Kernels of Debian, as packages: found with apt-cache(8), fetched with apt-get(8), which checks what
 * it fetches, unpacked into the user's cache and never installed.
 */

import { messageOf } from "../../lib/base/error.ts";
import { cacheFolder } from "../support/program/assets.ts";
import { findProgram } from "../support/program/program.ts";

/** An unpacked kernel. */
export interface Kernel {
  /** `6.1.0-57-amd64` */
  readonly release: string;
  /** Path of its image. */
  readonly image: string;
  /** The folder of its modules, `modules.dep` among them. */
  readonly modules: string;
}

/** A kernel, or the rest of this machine, cannot be had; the message is one line with the remedy. */
export class MissingError extends Error {
  override readonly name = "MissingError";
}

/** What Debian calls this machine's kind. */
const ARCHITECTURE = "amd64";

/**
 * The newest kernel of `version` (`6.1`, `6.12`), out of the cache or from Debian.
 *
 * @throws {MissingError} if there is none
 */
export async function getKernel(version: string): Promise<Kernel> {
  const cache = `${cacheFolder(Deno.env.toObject())}/kernels`;
  const cached: string[] = await namesIn(cache).catch(() => []);
  const offered = (await offeredPackages()).filter((it) => !cached.includes(it));
  const best = newestPackage(version, [...offered, ...cached]);
  if (best === undefined) {
    throw new MissingError(`Debian offers no kernel ${version} here: apt-get update`);
  }
  if (cached.includes(best)) return await openKernel(`${cache}/${best}`);
  try {
    await fetchPackage(best, cache);
    return await openKernel(`${cache}/${best}`);
  } catch (error) {
    const older = newestPackage(version, cached);
    if (older !== undefined) return await openKernel(`${cache}/${older}`);
    const reason = messageOf(error);
    throw new MissingError(`${best} cannot be had (${reason}): apt-get update`);
  }
}

/** The newest package of a kernel `version` among `names`; no realtime, cloud or unsigned ones. */
export function newestPackage(version: string, names: readonly string[]): string | undefined {
  const number = version.replaceAll(".", "\\.");
  const form = new RegExp(
    `^linux-image-${number}(\\.\\d+)*(-\\d+|\\+(deb|bpo)[\\d.]*)-${ARCHITECTURE}$`,
  );
  const numbers = (name: string): number[] => (name.match(/\d+/g) ?? []).map(Number);
  const compare = (a: string, b: string): number => {
    const [left, right] = [numbers(a), numbers(b)];
    const index = left.findIndex((it, i) => it !== right[i]);
    return (left[index] ?? 0) - (right[index] ?? 0);
  };
  return names.filter((it) => form.test(it)).sort(compare).at(-1);
}

async function offeredPackages(): Promise<readonly string[]> {
  if (findProgram("apt-cache") === undefined) return [];
  const text = await run("apt-cache", ["search", "--names-only", "^linux-image-[0-9]"]);
  return text.split("\n").map((line) => line.split(" ")[0] ?? "");
}

/** Unpacks it beside first, so that the cache never holds half a kernel. */
async function fetchPackage(name: string, cache: string): Promise<void> {
  await Deno.mkdir(cache, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: cache, prefix: ".fetch-" });
  try {
    await run("apt-get", ["download", "-q", name], folder);
    const [file] = await namesIn(folder);
    await run("dpkg-deb", ["-x", `${folder}/${file}`, `${folder}/root`]);
    // Where the package has its modules in /usr/lib, depmod(8) still looks in /lib.
    const root = `${folder}/root`;
    if (!await exists(`${root}/lib/modules`)) await Deno.symlink("usr/lib", `${root}/lib`);
    const [release = ""] = await namesIn(`${root}/lib/modules`);
    await run(findProgram("depmod") ?? "depmod", ["-b", root, release]);
    await Deno.rename(root, `${cache}/${name}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function openKernel(folder: string): Promise<Kernel> {
  const modules = `${folder}/lib/modules`;
  const [release = ""] = await namesIn(modules);
  const image = `${folder}/boot/vmlinuz-${release}`;
  if (!await exists(image)) throw new MissingError(`${folder} holds no kernel: delete it`);
  return { release, image, modules: `${modules}/${release}` };
}

function namesIn(folder: string): Promise<string[]> {
  return Array.fromAsync(Deno.readDir(folder), (it) => it.name);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** What a program prints. */
export async function run(name: string, args: readonly string[], cwd?: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(name, {
    args: [...args],
    stdin: "null",
    ...(cwd === undefined ? {} : { cwd }),
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  const [reason = ""] = new TextDecoder().decode(stderr).trim().split("\n").slice(-1);
  throw new Error(`${name} ${args[0] ?? ""}: ${reason}`);
}
