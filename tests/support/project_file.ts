/** The files of this project, for the tests that hold them to the house rules. */

/** The project's folder. */
export const ROOT: string = await Deno.realPath(`${import.meta.dirname}/../..`);

const SOURCE_FOLDERS = ["agent", "cni", "ctl", "deploy", "lib"];

/** Whether the file is part of what is shipped or builds it: no test. */
export function isSource(path: string): boolean {
  return path.endsWith(".ts") && !/_(test|bench)\.ts$/.test(path) &&
    (path === "main.ts" || SOURCE_FOLDERS.includes(path.split("/")[0] ?? ""));
}

/** The text of a file, by its path from the root. */
export async function read(path: string): Promise<string> {
  return await Deno.readTextFile(`${ROOT}/${path}`);
}

/** Every file of the project, as paths from its root; not what is built, fetched or git's. */
export async function listFiles(): Promise<readonly string[]> {
  const found: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory, isFile } of Deno.readDir(`${ROOT}/${folder}`)) {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (isDirectory && ![".git", "dist", "node_modules"].includes(name)) await visit(path);
      else if (isFile) found.push(path);
    }
  };
  await visit("");
  return found.sort();
}
