/** Which files `-f` means: one, those of a directory, or stdin. */

import type { Terminal } from "../command.ts";
import { CtlError } from "../error.ts";
import { describeReadError } from "./connection.ts";
import { type ManifestObject, parseManifest } from "./document.ts";

/**
 * Reads the objects of `path`: a file, the `.yaml`, `.yml` and `.json` files of a directory (not of
 * those within it), or `-` for stdin.
 *
 * @throws {CtlError} if there is none, or one is no manifest
 */
export async function readManifests(
  path: string,
  terminal: Terminal,
): Promise<readonly ManifestObject[]> {
  if (path === "-") return parseManifest(await terminal.readInput(), "stdin");
  const objects: ManifestObject[] = [];
  for (const file of await filesOf(path)) {
    const text = await Deno.readTextFile(file).catch((error) => {
      throw new CtlError(describeReadError(file, error), { cause: error });
    });
    objects.push(...parseManifest(text, file));
  }
  return objects;
}

async function filesOf(path: string): Promise<readonly string[]> {
  try {
    const { isDirectory } = await Deno.stat(path);
    if (!isDirectory) return [path];
    const files: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(path)) {
      if (!isDirectory && /\.(ya?ml|json)$/.test(name)) files.push(`${path}/${name}`);
    }
    if (files.length > 0) return files.sort();
  } catch (error) {
    throw new CtlError(describeReadError(path, error), { cause: error });
  }
  throw new CtlError(`Directory ${path} holds no .yaml, .yml or .json file`);
}
