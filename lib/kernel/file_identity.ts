/** What tells an open file from every other that exists now: device and inode. statx(2). */

import { cString } from "./descriptor.ts";
import { check } from "./errno.ts";
import { libc } from "./symbols.ts";

/** <linux/fcntl.h>, <linux/stat.h>; `struct statx` is the same on every architecture. */
const AT_EMPTY_PATH = 0x1000;
const STATX_INO = 0x100;
const STATX_BYTES = 256;
const STATX_OFFSET_INO = 32;
const STATX_OFFSET_DEV_MAJOR = 136;
const STATX_OFFSET_DEV_MINOR = 140;

/** Device and inode of a file. */
export interface FileIdentity {
  readonly major: number;
  readonly minor: number;
  readonly inode: bigint;
}

/**
 * The identity of the file that `fd` is open on; `what` is done with it, for the error.
 *
 * @throws {KernelError} if the kernel refuses
 */
export function fileIdentity(fd: number, what: string): FileIdentity {
  const stat = new Uint8Array(STATX_BYTES);
  check(what, libc().statx(fd, cString(""), AT_EMPTY_PATH, STATX_INO, stat));
  const words = new Uint32Array(stat.buffer);
  return {
    major: words[STATX_OFFSET_DEV_MAJOR / 4] ?? 0,
    minor: words[STATX_OFFSET_DEV_MINOR / 4] ?? 0,
    inode: new BigUint64Array(stat.buffer)[STATX_OFFSET_INO / 8] ?? 0n,
  };
}
