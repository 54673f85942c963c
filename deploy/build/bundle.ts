/**
 * From sources to what `deno compile` embeds: each part bundled to one file, apart from what it imports
 * only at need, and client-node packed once for all.
 *
 * What a program carries costs each of its starts: denort reads all of it, V8 parses what is imported.
 * Measured with client-node 1.4.0, beyond the 33 ms in which an empty program starts:
 *
 * | client-node                       | not used | a kubeconfig read by it |
 * |-----------------------------------|----------|-------------------------|
 * | in the same file                  | 116 ms   | 178 ms                  |
 * | in a file of its own, 14 MB       | 18 ms    | 212 ms                  |
 * | the same minified, 3.5 MB         | 3 ms     | 150 ms                  |
 * | minified and compressed, 0.3 MB   | < 1 ms   | 170 ms                  |
 */

import { BuildError, runDeno, writeUndated } from "./stage.ts";

/** The package that is packed, by its name in deno.json. */
export const CLIENT_NODE = "@kubernetes/client-node";

/** What stands in for it in a stage: `CLIENT_NODE_FILE` unpacks `CLIENT_NODE_PACK`. */
export const CLIENT_NODE_FILE = "client_node.js";
export const CLIENT_NODE_PACK = "client_node.gz";

/** The one way to import it that the packing serves. */
const CLIENT_NODE_IMPORT = `const { KubeConfig } = await import("${CLIENT_NODE}")`;

/** A bundled part. */
export interface Bundle {
  /** Path of its first file. */
  readonly main: string;
  /** Names of files beside it that it needs and that no static import names. */
  readonly included: readonly string[];
  /** Size of all its files. */
  readonly bytes: number;
  readonly needsClientNode: boolean;
}

/** What `bundleScript()` makes beside the launcher. */
export const SCRIPT = "program.txt";
export const SCRIPT_CACHE = "program.cache";

/**
 * Bundles `entry` into `folder` and replaces `marks` in it.
 *
 * @throws {BuildError} if it does not bundle, or lacks a mark
 */
export async function bundle(
  root: string,
  entry: string,
  folder: string,
  marks: Readonly<Record<string, string>>,
): Promise<Bundle> {
  await bundleModules(root, entry, folder);
  const { bytes, needsClientNode } = await finish(entry, folder, marks);
  return { main: `${folder}/main.js`, included: [], bytes, needsClientNode };
}

/**
 * Bundles `entry` into `folder` as one classic script, which can have a code cache, and a launcher for
 * it. What it imports at need (`apart`, paths beside the entry) becomes modules of their own, with
 * their own copies of what they share with it.
 *
 * @param hasCache whether `SCRIPT_CACHE` will be there; without it such a program does not start
 * @throws {BuildError} if it does not bundle, or lacks a mark
 */
export async function bundleScript(
  root: string,
  entry: string,
  { apart, hasCache }: { readonly apart: readonly string[]; readonly hasCache: boolean },
  folder: string,
  marks: Readonly<Record<string, string>>,
): Promise<Bundle> {
  const place = entry.slice(0, entry.lastIndexOf("/"));
  for (const it of apart) await bundleModules(root, `${place}/${it}`, folder);
  const path = `${folder}/${SCRIPT}`;
  const externals = apart.flatMap((it) => ["--external", `./${it}`]);
  await runDeno(
    ["bundle", "-q", ...lock(root), "--format", "cjs", ...externals, "-o", path, entry],
    root,
  );
  let text = await Deno.readTextFile(path);
  for (const it of apart) {
    text = text.replaceAll(`import("./${it}")`, `import("./${scriptOf(it)}")`);
  }
  // In ASCII alone V8 holds it at a byte a character.
  text = text.replaceAll(
    /[^\0-\x7f]/g,
    (it) => `\\u${it.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  await Deno.writeTextFile(path, `(function (require) {\n${text}\n})`);
  const { bytes, needsClientNode } = await finish(entry, folder, marks);
  const main = `${folder}/launch.js`;
  await writeUndated(main, formatLauncher(hasCache));
  return { main, included: apart.map(scriptOf), bytes, needsClientNode };
}

/** Node's own modules come from the runtime; others have no business in a program's usual path. */
function formatLauncher(hasCache: boolean): string {
  const cache = hasCache ? `, cachedData: Deno.readFileSync(near("${SCRIPT_CACHE}"))` : "";
  return `import { Script } from "node:vm";
const near = (name) => new URL(name, import.meta.url);
const source = Deno.readTextFileSync(near("${SCRIPT}"));
const script = new Script(source, { filename: near("program.js").href${cache} });
script.runInThisContext()((name) => process.getBuiltinModule(name));
`;
}

function scriptOf(path: string): string {
  return path.replace(/\.ts$/, ".js");
}

async function bundleModules(root: string, entry: string, folder: string): Promise<void> {
  if (await Deno.stat(`${root}/${entry}`).catch(() => undefined) === undefined) {
    throw new BuildError(`${entry} does not exist`);
  }
  const args = ["--code-splitting", "--external", CLIENT_NODE, "--outdir", folder, entry];
  await runDeno(["bundle", "-q", ...lock(root), ...args], root);
}

/** Replaces marks in all files, and looks how client-node is imported. */
async function finish(
  entry: string,
  folder: string,
  marks: Readonly<Record<string, string>>,
): Promise<Pick<Bundle, "bytes" | "needsClientNode">> {
  const missing = new Set(Object.keys(marks));
  let bytes = 0;
  let needsClientNode = false;
  for await (const { name } of Deno.readDir(folder)) {
    let text = await Deno.readTextFile(`${folder}/${name}`);
    for (const [mark, value] of Object.entries(marks)) {
      if (text.includes(mark)) missing.delete(mark);
      text = text.replaceAll(mark, value);
    }
    if (text.replaceAll(CLIENT_NODE_IMPORT, "").includes(`"${CLIENT_NODE}"`)) {
      throw new BuildError(`${entry}: the only import of client-node can be ${CLIENT_NODE_IMPORT}`);
    }
    needsClientNode ||= text.includes(CLIENT_NODE_IMPORT);
    bytes += text.length;
    await writeUndated(`${folder}/${name}`, text);
  }
  if (missing.size > 0) {
    throw new BuildError(`${entry} does not know its version: no ${[...missing].join(", ")} in it`);
  }
  return { bytes, needsClientNode };
}

/**
 * Packs client-node into `stage`, and what unpacks it at its first import.
 *
 * @throws {BuildError} if it cannot be had or does not bundle
 */
export async function packClientNode(root: string, stage: string, name: string): Promise<void> {
  const script = `${stage}/client_node.cjs`;
  const args = ["--minify", "--format", "cjs", "-o", script, name];
  await runDeno(["bundle", "-q", ...lock(root), ...args], root);
  const packed = new Blob([await Deno.readFile(script)]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  await writeUndated(`${stage}/${CLIENT_NODE_PACK}`, await new Response(packed).bytes());
  await Deno.remove(script);
  await writeUndated(`${stage}/${CLIENT_NODE_FILE}`, UNPACK);
}

/** A CommonJS module is evaluated as a function: importing 3.5 MB as a `data:` URL takes a second. */
const UNPACK = `import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";
const packed = Deno.readFileSync(new URL("${CLIENT_NODE_PACK}", import.meta.url));
const text = new TextDecoder().decode(gunzipSync(packed));
const module = { exports: {} };
new Function("require", "module", "exports", text)(
  createRequire(import.meta.url), module, module.exports,
);
export const { KubeConfig } = module.exports;
`;

/** What is privileged at run time is built from packages with known hashes only. */
function lock(root: string): readonly string[] {
  return [`--lock=${root}/deno.lock`, "--frozen"];
}
