/** Mounts: a name for a kernel object in the file system. mount(2), <linux/mount.h>. */

import { cString } from "./descriptor.ts";
import { check } from "./errno.ts";
import { libc } from "./symbols.ts";

const MS_BIND = 4096n;
const MNT_DETACH = 2;

/**
 * Makes `source` visible at `target`, which must exist.
 *
 * @throws {KernelError} if the kernel refuses
 */
export function bindMount(source: string, target: string): void {
  const result = libc().mount(cString(source), cString(target), cString("none"), MS_BIND, null);
  check(`mount "${source}" at "${target}"`, result);
}

/**
 * Takes the mount at `target` out of sight; it goes when its last user does.
 *
 * @throws {KernelError} if the kernel refuses: `EINVAL` where nothing is mounted
 */
export function unmount(target: string): void {
  check(`unmount "${target}"`, libc().umount2(cString(target), MNT_DETACH));
}
