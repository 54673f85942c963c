/**
 * Which boot of the machine this is: after another one no container of before is left, whatever its
 * address files say. Where a node is itself a container, whose restart the kernel does not see,
 * `ipam.bootIdFile` names a file that something writes at every start; tests use it too.
 */

import { cString, readFile } from "../../lib/kernel/descriptor.ts";
import { libc } from "../../lib/kernel/symbols.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const UPTIME = "/proc/uptime";
/** Made by the kernel before any program runs, in a file system that does not outlive the boot. */
const FIRST_FILE = "/dev/null";

/** statx(2), <linux/stat.h>, <linux/fcntl.h>. */
const AT_FDCWD = -100;
const STATX_MTIME = 0x40;
const STATX_BTIME = 0x800;
const STATX_BYTES = 256;
const STATX_OFFSET_BTIME = 80;
const STATX_OFFSET_MTIME = 112;

const ID_LENGTH_MAX = 100;

/** How far `/proc/uptime` and the clock may disagree. */
const TOLERANCE_MS = 1000;

/** A boot's identity, and from where it is known. */
export interface BootMark {
  /** The path that was read: only ids of the same source can be compared. */
  readonly source: string;
  /** Empty where it could not be read. */
  readonly id: string;
}

/** The present boot. */
export interface Boot extends BootMark {
  /**
   * What was last written to a file before this time, by the files' clock, is of an earlier boot;
   * `undefined` where that cannot be told.
   *
   * @param isKnown whether reservations were marked with a boot of this source before
   */
  startMs(isKnown: boolean): number | undefined;
}

/** Reads the identity of the running boot from `bootIdFile`, or from the kernel; `id` is empty if it cannot be read. */
export function readBoot(bootIdFile: string | undefined): Boot {
  const source = bootIdFile ?? BOOT_ID;
  return {
    source,
    id: tryRead(() => readId(source)) ?? "",
    // A file that is read for the first time may be younger than the pods of this very boot.
    startMs: (isKnown) =>
      bootIdFile !== undefined && isKnown ? tryRead(() => mtimeMs(bootIdFile)) : kernelStartMs(),
  };
}

/**
 * When the kernel started, by the clock that files are stamped with. The clock may have been set since:
 * a machine without one starts in 1970, a virtual machine that slept wakes up in the past. So this is
 * the earlier one of two: the present time less the uptime, and the time at which the first file was
 * made. Too early a time keeps reservations that could go; too late a one would cost pods theirs.
 */
function kernelStartMs(): number | undefined {
  return tryRead(() => {
    const uptimeMs = Number(readFile(UPTIME).split(" ")[0]) * 1000;
    const startMs = Math.min(Date.now() - uptimeMs, birthMs(FIRST_FILE)) - TOLERANCE_MS;
    return Number.isFinite(startMs) ? startMs : undefined;
  });
}

/** When a file was created, or last changed if its file system does not store that (ms since 1970). */
function birthMs(path: string): number {
  const stat = new Uint8Array(STATX_BYTES);
  const mask = STATX_BTIME | STATX_MTIME;
  if (libc().statx(AT_FDCWD, cString(path), 0, mask, stat) !== 0) return NaN;
  const view = new DataView(stat.buffer);
  const isBorn = (view.getUint32(0, true) & STATX_BTIME) !== 0;
  const offset = isBorn ? STATX_OFFSET_BTIME : STATX_OFFSET_MTIME;
  return Number(view.getBigInt64(offset, true)) * 1000;
}

function mtimeMs(path: string): number | undefined {
  return Deno.statSync(path).mtime?.getTime();
}

/** The content of the file as one word. */
function readId(path: string): string {
  return readFile(path).trim().replaceAll(/\s+/g, "_").slice(0, ID_LENGTH_MAX);
}

function tryRead<T>(f: () => T): T | undefined {
  try {
    return f();
  } catch {
    return undefined;
  }
}
