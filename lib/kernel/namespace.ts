/**
 * Network namespaces: opening, entering for the length of one synchronous function, making, deleting,
 * telling apart. network_namespaces(7), setns(2), ioctl_ns(2).
 *
 * Entering changes the calling thread. Whatever starts asynchronous work in there leaves threads of
 * the runtime's pool behind in the wrong namespace for good; so {@link withNamespace} takes no
 * function that returns a promise. A netlink socket stays bound to the namespace in which it was
 * opened: open it inside, use it outside.
 */

import { assert } from "../base/assert.ts";
import {
  cString,
  type Descriptor,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  openFile,
} from "./descriptor.ts";
import { check, errnoName, KernelError, lastErrno } from "./errno.ts";
import { fileIdentity } from "./file_identity.ts";
import { bindMount, unmount } from "./mount.ts";
import { libc } from "./symbols.ts";

/** <linux/sched.h>. */
const CLONE_NEWNET = 0x40000000;
/** `_IO(0xb7, 3)`: CLONE_NEW* of a namespace file, <linux/nsfs.h>. */
const NS_GET_NSTYPE = 0xb703n;

/** The calling thread's own namespace; only the main thread's is also `/proc/self/ns/net`. */
const CURRENT = "/proc/thread-self/ns/net";

/** Exit status when the way back is lost: EX_OSERR, <sysexits.h>. */
const EXIT_LOST = 71;

/**
 * Opens the network namespace at `path`: `/run/netns/x`, `/proc/1/ns/net`.
 *
 * @throws {KernelError} if there is none (`ENOENT`), or if it is a file of another kind (`EINVAL`)
 */
export function openNamespace(path: string): Descriptor {
  const file = openFile(path, O_RDONLY | O_NONBLOCK);
  if (isNamespaceDescriptor(file)) return file;
  file[Symbol.dispose]();
  throw new KernelError(`open network namespace "${path}"`, 22); // EINVAL, as setns(2) says
}

/**
 * Opens the network namespace that the calling thread is in.
 *
 * @throws {KernelError} if the kernel refuses
 */
export function openCurrentNamespace(): Descriptor {
  return openFile(CURRENT, O_RDONLY);
}

/**
 * Calls `f` in `namespace` and comes back, whatever `f` does. There must be nothing asynchronous in
 * `f`. If there is no way back the process ends: to go on in a pod's namespace as if it were the
 * node's would be worse.
 *
 * @returns what `f` returns
 * @throws {KernelError} if the kernel refuses the way in; and whatever `f` throws
 */
export function withNamespace<T>(
  namespace: Descriptor,
  f: () => T extends Promise<unknown> ? never : T,
): T {
  using own = openCurrentNamespace();
  check("enter network namespace", libc().setns(namespace.fd, CLONE_NEWNET));
  let result: T;
  try {
    result = f();
  } finally {
    returnTo(own);
  }
  assert(!(result instanceof Promise), "Nothing asynchronous may start in a namespace");
  return result;
}

/**
 * Makes a network namespace and mounts it at `path`, whose directories are made too; what
 * `ip netns add` does. It lives until {@link deleteNamespace}.
 *
 * @throws {KernelError} if `path` exists (`EEXIST`) or the kernel refuses
 */
export function createNamespace(path: string): void {
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")) || "/", { recursive: true });
  openFile(path, O_RDONLY | O_CREAT | O_EXCL, 0o444)[Symbol.dispose]();
  try {
    using own = openCurrentNamespace();
    check("create network namespace", libc().unshare(CLONE_NEWNET));
    try {
      bindMount(CURRENT, path);
    } finally {
      returnTo(own);
    }
  } catch (error) {
    libc().unlink(cString(path));
    throw error;
  }
}

/**
 * Unmounts the namespace at `path` and deletes the file, also one where nothing is mounted. The kernel
 * deletes the namespace, with its links, when the last process in it has ended.
 *
 * @throws {KernelError} if there is none (`ENOENT`) or the kernel refuses
 */
export function deleteNamespace(path: string): void {
  try {
    unmount(path);
  } catch (error) {
    const isMounted = !(error instanceof KernelError && error.code === "EINVAL");
    if (isMounted) throw error;
  }
  check(`delete "${path}"`, libc().unlink(cString(path)));
}

/**
 * What tells the namespace at a path, or of a descriptor, from every other that exists now: device
 * and inode of its file, `0.4:4026531840`.
 *
 * @throws {KernelError} if there is none
 */
export function namespaceIdentity(namespace: string | Descriptor): string {
  if (typeof namespace === "string") {
    using file = openNamespace(namespace);
    return namespaceIdentity(file);
  }
  const { major, minor, inode } = fileIdentity(namespace.fd, "identify network namespace");
  return `${major}.${minor}:${inode}`;
}

/** Whether there is a network namespace at `path`: not so for a missing path or another file. */
export function isNamespace(path: string): boolean {
  try {
    openNamespace(path)[Symbol.dispose]();
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

function isNamespaceDescriptor(file: Descriptor): boolean {
  return libc().ioctl(file.fd, NS_GET_NSTYPE) === CLONE_NEWNET;
}

function returnTo(own: Descriptor): void {
  if (libc().setns(own.fd, CLONE_NEWNET) === 0) return;
  const reason = errnoName(lastErrno());
  const line = `calyx: Cannot return to the own network namespace: ${reason}; the process ends\n`;
  const bytes = new TextEncoder().encode(line);
  libc().write(2, bytes, BigInt(bytes.length));
  Deno.exit(EXIT_LOST);
}
