/**
 * Errors of system calls: `errno` of the last synchronous call, its name, and the error class of
 * this room. Read it at once: any call in between may overwrite it (and `nonblocking` calls never
 * set it, because they run on another thread).
 */

import { assert } from "../base/assert.ts";
import { libc } from "./symbols.ts";

/** Names of the error numbers that we meet, <asm-generic/errno-base.h>, <asm-generic/errno.h>. */
const ERRNO_NAMES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  4: "EINTR",
  5: "EIO",
  6: "ENXIO",
  7: "E2BIG",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  28: "ENOSPC",
  30: "EROFS",
  31: "EMLINK",
  34: "ERANGE",
  36: "ENAMETOOLONG",
  40: "ELOOP",
  61: "ENODATA",
  71: "EPROTO",
  85: "ERESTART",
  90: "EMSGSIZE",
  93: "EPROTONOSUPPORT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  100: "ENETDOWN",
  101: "ENETUNREACH",
  105: "ENOBUFS",
  107: "ENOTCONN",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  113: "EHOSTUNREACH",
};

/** The name of an error number, `errno 999` where it has none here. */
export function errnoName(errno: number): string {
  return ERRNO_NAMES[errno] ?? `errno ${errno}`;
}

let location: Int32Array | undefined;

/** `errno` of the synchronous call that just failed on this thread. */
export function lastErrno(): number {
  if (location === undefined) {
    const pointer = libc().__errno_location();
    assert(pointer !== null, "The C library has an errno");
    location = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 4));
  }
  return location[0] ?? 0;
}

/** A system call failed: which one, on what, and the kernel's code. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  /** What was asked: `open "/run/netns/x"`. */
  readonly operation: string;
  /** `ENOENT`, `EPERM`, … */
  readonly code: string;

  constructor(operation: string, errno: number) {
    super(`Cannot ${operation}: ${errnoName(errno)}`);
    this.operation = operation;
    this.code = errnoName(errno);
  }
}

/**
 * Returns `result` unless it is -1.
 *
 * @throws {KernelError} from `errno` otherwise
 */
export function check(operation: string, result: number): number {
  if (result === -1) throw new KernelError(operation, lastErrno());
  return result;
}
