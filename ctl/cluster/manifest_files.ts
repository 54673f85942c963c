/** The files of `-f`: named ones, those of folders, and stdin, read together. */

import type { Terminal } from "../command.ts";
import { CtlError } from "../error.ts";
import { describeReadError } from "./connection.ts";
import { type ManifestObject, parseManifest, type Stray } from "./document.ts";

/** The objects of all files of `-f`, and sentences about the rest. */
export interface Manifests {
  readonly objects: readonly ManifestObject[];
  /** Sentences about files that may hold anything and cannot be read. */
  readonly unread: readonly string[];
  /** Sentences about files and documents that were skipped. */
  readonly skipped: readonly string[];
}

/** The arguments. */
export interface ManifestOptions {
  /** Whether the folders within a folder are read too. */
  readonly isRecursive: boolean;
  readonly terminal: Pick<Terminal, "readInput">;
}

const STDIN_PATHS = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
const FILE_NAME_REGEXP = /\.(ya?ml|json)$/i;

/**
 * Reads the objects of all `paths`: each a file, a folder, whose `.yaml`, `.yml` and `.json` files count,
 * or `-` for stdin. A path that is given twice is read once. What a folder has beside manifests is told
 * of and passed over; a file that was named must be a manifest.
 *
 * @throws {CtlError} if there is none, or a named one is no manifest
 */
export async function readManifests(
  paths: readonly string[],
  options: ManifestOptions,
): Promise<Manifests> {
  const objects: ManifestObject[] = [];
  const unread: string[] = [];
  const skipped: string[] = [];
  const take = (text: string, path: string, isNamed: boolean): void => {
    const manifest = parseManifest(text, path);
    objects.push(...manifest.objects);
    for (const stray of manifest.strays) {
      if (isNamed) requireSkippable(stray);
      (stray.kind === "notYaml" ? unread : skipped).push(stray.sentence);
    }
  };
  for (const path of await expandPaths(paths)) {
    if (path === "-") {
      take(await readStdin(options), "stdin", true);
      continue;
    }
    const { files, isNamed } = await filesOf(path, options.isRecursive, skipped);
    for (const file of files) {
      const text = await Deno.readTextFile(file).catch((error) => {
        throw new CtlError(describeReadError(file, error), { cause: error });
      });
      take(text, file, isNamed);
    }
  }
  if (objects.length === 0) {
    const [reason] = [...unread, ...skipped];
    throw new CtlError(
      `No Kubernetes object in ${paths.map((it) => it === "-" ? "stdin" : it).join(", ")}` +
        (reason === undefined ? "" : `: ${reason}`),
    );
  }
  return { objects, unread, skipped };
}

async function readStdin({ terminal }: ManifestOptions): Promise<string> {
  try {
    return await terminal.readInput();
  } catch (error) {
    throw new CtlError(describeReadError("stdin", error), { cause: error });
  }
}

function requireSkippable({ kind, sentence }: Stray): void {
  if (kind !== "kustomization") throw new CtlError(sentence);
}

/** Takes `a,b` for two, as kubectl does, unless there is a file of that name. */
async function expandPaths(paths: readonly string[]): Promise<readonly string[]> {
  const expanded: string[] = [];
  for (const path of paths) {
    if (path.includes(",") && !await exists(path)) {
      expanded.push(...path.split(",").filter((it) => it !== ""));
    } else expanded.push(path);
  }
  // The runtime refuses to read stdin by these names.
  return [...new Set(expanded.map((it) => STDIN_PATHS.includes(it) ? "-" : it))];
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

interface FoundFiles {
  readonly files: readonly string[];
  /** Whether it is a file that was named, not one of a folder. */
  readonly isNamed: boolean;
}

async function filesOf(
  path: string,
  isRecursive: boolean,
  skipped: string[],
): Promise<FoundFiles> {
  const files: string[] = [];
  try {
    if (!(await Deno.stat(path)).isDirectory) return { files: [path], isNamed: true };
    await collectFiles(path.replace(/(?<=.)\/+$/, ""), isRecursive, files, skipped);
  } catch (error) {
    throw new CtlError(describeReadError(path, error), { cause: error });
  }
  if (files.length > 0) return { files, isNamed: false };
  const remedy = isRecursive ? "" : "; -R also reads the folders within it";
  throw new CtlError(`Folder ${path} holds no .yaml, .yml or .json file${remedy}`);
}

/** Files before folders, each in the order of their names. */
async function collectFiles(
  folder: string,
  isRecursive: boolean,
  files: string[],
  skipped: string[],
): Promise<void> {
  const folders: string[] = [];
  const own: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = folder === "/" ? `/${name}` : `${folder}/${name}`;
    if (isDirectory && !name.startsWith(".")) folders.push(path);
    if (!isDirectory && FILE_NAME_REGEXP.test(name)) own.push(path);
  }
  files.push(...own.sort());
  for (const path of folders.sort()) {
    if (isRecursive) await collectFiles(path, isRecursive, files, skipped);
    else skipped.push(`Folder ${path} is not read: -R reads folders within folders too`);
  }
}
