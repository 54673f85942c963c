/** One datagram to a unix socket: what sd_notify(3) is. Not for streams: unix_stream.ts and Deno have those. */

import type { Bytes } from "../base/bytes.ts";
import { check } from "./errno.ts";
import { libc } from "./symbols.ts";
import { AF_UNIX, encodeUnixAddress } from "./unix_address.ts";

const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;

/**
 * Sends `text` as one datagram to the socket at `path`; a leading `@` means the abstract namespace.
 *
 * @throws {RangeError} if the path is too long
 * @throws {KernelError} if there is no listener, or its queue is full (`EAGAIN`): nothing waits for it
 */
export function sendUnixDatagram(path: string, text: string): void {
  const address = encodeUnixAddress(path);
  const fd = check("open unix socket", libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    check(`connect to "${path}"`, libc().connect(fd, address, address.length));
    const message: Bytes = new TextEncoder().encode(text);
    const sent = libc().send(fd, message, BigInt(message.length), MSG_NOSIGNAL | MSG_DONTWAIT);
    check(`send to "${path}"`, sent);
  } finally {
    libc().close(fd);
  }
}
