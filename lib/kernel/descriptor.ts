/**
 * File descriptors that close themselves, and whole small files read and written through the C
 * library: for `/proc/sys` and `/proc/self/ns`, where the runtime's own calls ask for every
 * permission there is. Not for ordinary files.
 *
 * O_*: <asm-generic/fcntl.h>.
 */

import { assert } from "../base/assert.ts";
import type { Bytes } from "../base/bytes.ts";
import { check } from "./errno.ts";
import { libc } from "./symbols.ts";

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

/** What {@link readFile} reads at most: files of `/proc/sys` hold at most a page. */
const FILE_BYTES_MAX = 4096;

/** An open file descriptor; disposing it closes it, once. */
export class Descriptor implements Disposable {
  readonly fd: number;
  #closed = false;

  /** Takes over `fd`. */
  constructor(fd: number) {
    assert(fd >= 0, "A descriptor is not negative");
    this.fd = fd;
  }

  /** Closes the descriptor. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    libc().close(this.fd);
  }
}

/**
 * Opens `path`; programs that this one starts do not inherit the descriptor.
 *
 * @param flags O_*
 * @param mode permissions of a file that O_CREAT makes
 * @throws {KernelError} if the kernel refuses
 */
export function openFile(path: string, flags: number = O_RDONLY, mode = 0): Descriptor {
  const fd = libc().open(cString(path), flags | O_CLOEXEC, mode);
  return new Descriptor(check(`open "${path}"`, fd));
}

/**
 * Reads a small text file, up to 4096 bytes.
 *
 * @throws {KernelError} if the kernel refuses
 */
export function readFile(path: string): string {
  using file = openFile(path, O_RDONLY);
  const buffer = new Uint8Array(FILE_BYTES_MAX);
  const length = libc().read(file.fd, buffer, BigInt(buffer.length));
  return new TextDecoder().decode(buffer.subarray(0, check(`read "${path}"`, length)));
}

/**
 * Writes `text` to a file that exists, in one system call.
 *
 * @throws {KernelError} if the kernel refuses
 */
export function writeFile(path: string, text: string): void {
  assert(text !== "", "A write of nothing does nothing");
  using file = openFile(path, O_WRONLY);
  const bytes = new TextEncoder().encode(text);
  check(`write "${path}"`, libc().write(file.fd, bytes, BigInt(bytes.length)));
}

/**
 * `text` as C takes it, with its terminating NUL.
 *
 * @throws {RangeError} if there is a NUL inside, where C would stop reading
 */
export function cString(text: string): Bytes {
  if (text.includes("\0")) throw new RangeError(`Text must not contain NUL: got ${quote(text)}`);
  return new TextEncoder().encode(text + "\0");
}

function quote(text: string): string {
  return JSON.stringify(text);
}
