/**
 * Whether what is written to a descriptor goes to systemd's journal. systemd.exec(5), `$JOURNAL_STREAM`:
 * device and inode of the stream, in decimal; a program whose stderr is another file, after a
 * redirection, must compare.
 */

import { KernelError } from "./errno.ts";
import { fileIdentity } from "./file_identity.ts";

export const STDERR = 2;

/** @param stream the value of JOURNAL_STREAM */
export function isJournal(fd: number, stream: string | undefined): boolean {
  if (stream === undefined || stream === "") return false;
  try {
    const { major, minor, inode } = fileIdentity(fd, "identify the log's stream");
    return stream === `${makeDevice(major, minor)}:${inode}`;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

/** `st_dev` of stat(2), as the C library makes it: makedev(3). */
function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return ((high & 0xfffff000n) << 32n) | ((high & 0xfffn) << 8n) |
    ((low & 0xffffff00n) << 12n) | (low & 0xffn);
}
