/**
 * Certificates, keys and tokens, from a file that may rotate or from text that does not. A file is
 * looked at again after a while, and read again when it is another one or has changed: kubelet swaps
 * projected tokens by a symbolic link, other tools write in place.
 */

import type { Clock } from "../base/clock.ts";
import { CredentialsError } from "./error.ts";
import { Secret } from "./secret.ts";

/** How long a file counts as unchanged without stat(2) (ms). */
const CHECK_INTERVAL_MS = 5_000;
/** Largest file (bytes): no certificate bundle, key or token is larger. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;
/** How long a read may take (ms): a pipe blocks while no process writes into it. */
const READ_MS_MAX = 10_000;
const PIPE_INTERVAL_MS = 20;
/** Added for a read that the kernel does not return from (ms); other reads have ended by themselves. */
const HELD_MS = 1_000;

/** A secret or a CA that is read when it is needed. */
export interface Material {
  /** For messages: `client certificate "/etc/x.crt" (K8S_CERT_FILE)`. Never a secret. */
  readonly name: string;
  /**
   * The text. `isForced` reads it again however recently that was done.
   *
   * @throws {CredentialsError} if it cannot be read and was not read before, or is forced
   */
  read(isForced?: boolean): Promise<Secret>;
}

/** Text that is here already: from a kubeconfig or the environment. */
export function inlineMaterial(name: string, text: string | Secret): Material {
  const secret = typeof text === "string" ? new Secret(text) : text;
  return { name, read: () => Promise.resolve(secret) };
}

/** Text in a file that may rotate. */
export class FileMaterial implements Material {
  readonly name: string;
  readonly #path: string;
  readonly #clock: Clock;
  #secret: Secret | undefined;
  readonly #readMsMax: number;
  #stamp = "";
  #checkedAtMs = 0;
  /** A read in progress: a blocked system call cannot be cancelled. */
  #pending: Promise<Secret> | undefined;

  /** `what` is the thing ("client key"), `source` where the path was written (`K8S_KEY_FILE`). */
  constructor(
    what: string,
    path: string,
    source: string,
    clock: Clock,
    readMsMax = READ_MS_MAX,
  ) {
    this.#readMsMax = readMsMax;
    this.name = `${what} "${path}" (${source})`;
    this.#path = path;
    this.#clock = clock;
  }

  async read(isForced = false): Promise<Secret> {
    const known = this.#secret;
    if (known !== undefined && !isForced) {
      if (Math.abs(this.#clock.nowMs() - this.#checkedAtMs) < CHECK_INTERVAL_MS) return known;
      if (this.#pending !== undefined) return known;
      this.#checkedAtMs = this.#clock.nowMs();
      // During a rotation the file may be missing: the earlier content is used until the server refuses it.
      return await this.#readInTime().catch((error) => {
        if (error instanceof CredentialsError) return known;
        throw error;
      });
    }
    this.#stamp = "";
    this.#checkedAtMs = this.#clock.nowMs();
    return await this.#readInTime();
  }

  /** The result of the read in progress, or of a new one, within the time. */
  async #readInTime(): Promise<Secret> {
    const look = this.#pending ??= this.#readChanged().finally(() => this.#pending = undefined);
    look.catch(() => {}); // it may end after us
    let timer: number | undefined;
    const late = new Promise<never>((_, reject) => {
      const silence = describeSilence(this.name, this.#readMsMax);
      timer = setTimeout(() => reject(silence), this.#readMsMax + HELD_MS);
    });
    return await Promise.race([look, late]).finally(() => clearTimeout(timer));
  }

  async #readChanged(): Promise<Secret> {
    try {
      const info = await Deno.stat(this.#path);
      if (info.isDirectory) throw new CredentialsError(describeDirectory(this.name));
      const stamp = `${info.dev}:${info.ino}:${info.size}:${info.mtime?.getTime()}`;
      if (this.#secret !== undefined && stamp === this.#stamp) return this.#secret;
      const known = this.#secret;
      const text = info.isFifo
        ? await readPipe(this.#path, known === undefined ? this.#readMsMax : 0)
        : await readBounded(await Deno.open(this.#path));
      // A pipe delivers its content once, as a shell's <(command): it is kept.
      if (info.isFifo && text === "") {
        if (known !== undefined) return known;
        throw describeSilence(this.name, this.#readMsMax);
      }
      if (text === undefined) {
        throw new CredentialsError(
          `${sentence(this.name)} has more than ${FILE_BYTES_MAX / 2 ** 20} MiB, ` +
            "which cannot be right: name another file",
        );
      }
      if (text.trim() === "") {
        throw new CredentialsError(
          `${sentence(this.name)} is empty: write it or name another file`,
        );
      }
      this.#secret = new Secret(text);
      this.#stamp = stamp;
      return this.#secret;
    } catch (error) {
      throw describeFileError(this.name, error);
    }
  }
}

/**
 * The text that comes out of a pipe within `waitMs`, and what follows; "" if none does. A process that opens
 * a pipe which none writes to is held in open(2), all of it (fifo(7)); not if it has the pipe open both ways.
 */
async function readPipe(path: string, waitMs: number): Promise<string | undefined> {
  const endMs = performance.now() + waitMs;
  // Without write permission the only way is to wait.
  const both = await Deno.open(path, { read: true, write: true }).catch(() => undefined);
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } finally {
    // An open writer would keep the pipe from ever ending.
    both?.close();
  }
  return await readBounded(file, endMs);
}

/**
 * The text of a file; `undefined` = it is larger than any may be, as /dev/zero is. Closes it.
 *
 * @param endMs until when its end is not believed while nothing has come: by performance.now()
 */
async function readBounded(opened: Deno.FsFile, endMs = 0): Promise<string | undefined> {
  using file = opened;
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 << 10);
  let text = "";
  let size = 0;
  for (;;) {
    const length = await file.read(buffer);
    if (length === null && size === 0 && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, PIPE_INTERVAL_MS));
      if (performance.now() < endMs) continue;
    }
    if (length === null) return text + decoder.decode();
    size += length;
    if (size > FILE_BYTES_MAX) return undefined;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

/** What is wrong with a file that cannot be read, as one sentence. */
function describeFileError(name: string, error: unknown): unknown {
  if (error instanceof CredentialsError) return error;
  const what = sentence(name);
  if (error instanceof Deno.errors.NotFound) {
    return new CredentialsError(`${what} does not exist: create it or name another file`);
  }
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return new CredentialsError(`${what} may not be read: permit it to user ${Deno.uid()}`);
  }
  if (error instanceof Deno.errors.IsADirectory) {
    return new CredentialsError(describeDirectory(name));
  }
  if (error instanceof Deno.errors.NotADirectory) {
    return new CredentialsError(`${what} does not exist: its path goes through a file`);
  }
  if (error instanceof Deno.errors.FilesystemLoop) {
    return new CredentialsError(`${what} is a symbolic link to itself: name another file`);
  }
  if (error instanceof Deno.errors.InvalidData || error instanceof TypeError) {
    return new CredentialsError(`${what} is no text: name another file`);
  }
  return error instanceof Error
    ? new CredentialsError(`${what} cannot be read: ${error.message}`)
    : error;
}

function describeSilence(name: string, afterMs: number): CredentialsError {
  return new CredentialsError(
    `${sentence(name)} has not come to its end in ${
      afterMs / 1_000
    } s: if it is a pipe, start what ` +
      "writes into it and closes it, or name a file",
  );
}

function describeDirectory(name: string): string {
  return `${sentence(name)} is a directory: name the file in it`;
}

/** Starts a sentence with `name`. */
export function sentence(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
