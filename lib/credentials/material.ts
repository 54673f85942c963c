/**
 * Certificates, keys and tokens, from a file that may rotate or from text that does not. A file is
 * looked at again after a while, and read again when it is another one or has changed: kubelet swaps
 * projected tokens by a symbolic link, other tools write in place.
 */

import type { Clock } from "../base/clock.ts";
import { CredentialsError } from "./error.ts";
import { Secret } from "./secret.ts";

/** How long a file is taken to be unchanged without looking. */
const CHECK_INTERVAL_MS = 5_000;
/** No certificate bundle, key or token is larger. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Something secret or trusted that is read when it is needed. */
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
  #stamp = "";
  #checkedAtMs = 0;

  /** `what` is the thing ("client key"), `source` where the path was written (`K8S_KEY_FILE`). */
  constructor(what: string, path: string, source: string, clock: Clock) {
    this.name = `${what} "${path}" (${source})`;
    this.#path = path;
    this.#clock = clock;
  }

  async read(isForced = false): Promise<Secret> {
    const known = this.#secret;
    if (known !== undefined && !isForced) {
      if (Math.abs(this.#clock.nowMs() - this.#checkedAtMs) < CHECK_INTERVAL_MS) return known;
      this.#checkedAtMs = this.#clock.nowMs();
      // In the middle of a rotation the file may be away: what was read keeps until it is refused.
      return await this.#readChanged().catch((error) => {
        if (error instanceof CredentialsError) return known;
        throw error;
      });
    }
    this.#stamp = "";
    this.#checkedAtMs = this.#clock.nowMs();
    return await this.#readChanged();
  }

  async #readChanged(): Promise<Secret> {
    try {
      const info = await Deno.stat(this.#path);
      if (info.isDirectory) throw new CredentialsError(describeDirectory(this.name));
      const stamp = `${info.dev}:${info.ino}:${info.size}:${info.mtime?.getTime()}`;
      if (this.#secret !== undefined && stamp === this.#stamp) return this.#secret;
      const text = await readBounded(this.#path);
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

/** The text of a file or pipe; `undefined` = it is larger than any may be, as /dev/zero is. */
async function readBounded(path: string): Promise<string | undefined> {
  using file = await Deno.open(path);
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 << 10);
  let text = "";
  let size = 0;
  for (;;) {
    const length = await file.read(buffer);
    if (length === null) return text + decoder.decode();
    size += length;
    if (size > FILE_BYTES_MAX) return undefined;
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
}

/** What is wrong with a file that cannot be read, as one sentence. */
export function describeFileError(name: string, error: unknown): unknown {
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

function describeDirectory(name: string): string {
  return `${sentence(name)} is a directory: name the file in it`;
}

/** Starts a sentence with `name`. */
export function sentence(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
