/**
 * Switches Nagle's algorithm off for a listening socket that Deno opened. Accepted connections
 * inherit that. With it on, as Deno leaves it, the second of two quick events waits up to 40 ms for
 * the client's acknowledgement of the first, which real API servers do not make anybody wait for.
 *
 * Deno does not tell the descriptor, so it is found by its inode: the listening sockets of this
 * network namespace are in `/proc/thread-self/net/tcp`, this process' descriptors in `/proc/self/fd`.
 */

import { libc } from "../../../../lib/kernel/symbols.ts";

/** <linux/in.h>, <linux/tcp.h>, <net/tcp_states.h>. */
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_LISTEN = "0A";

// Loaded with the module: within a test it would count as a leak.
const { setsockopt } = libc();

/** Sets TCP_NODELAY on this process' socket that listens on `port`. */
export function setNoDelay(port: number): void {
  const inodes = new Set(["tcp", "tcp6"].flatMap((name) => listeningInodes(name, port)));
  const one = new Uint8Array(new Int32Array([1]).buffer);
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const inode = /^socket:\[(\d+)\]$/.exec(readLink(`/proc/self/fd/${name}`))?.[1];
    if (inode !== undefined && inodes.has(inode)) {
      setsockopt(Number(name), IPPROTO_TCP, TCP_NODELAY, one, one.length);
    }
  }
}

/** A line: `0: 0100007F:1F90 00000000:0000 0A … inode`; addresses and ports are hexadecimal. */
function listeningInodes(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync(`/proc/thread-self/net/${table}`).split("\n").slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[1]?.endsWith(suffix) === true && words[3] === TCP_LISTEN)
    .map((words) => words[9] ?? "");
}

/** The directory's own descriptor is gone by the time its link is read. */
function readLink(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
