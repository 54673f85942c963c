/** One datagram to a unix socket: what sd_notify(3) is. Not for streams, which Deno has. */

import type { Bytes } from "../base/bytes.ts";
import { HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";
import { check } from "./errno.ts";
import { libc } from "./symbols.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const MSG_NOSIGNAL = 0x4000;
/** `sizeof(sun_path)`, <linux/un.h>. */
const UNIX_PATH_MAX = 108;

/**
 * Sends `text` as one datagram to the socket at `path`; a leading `@` means the abstract namespace.
 *
 * @throws {RangeError} if the path is too long
 * @throws {KernelError} if nobody listens
 */
export function sendUnixDatagram(path: string, text: string): void {
  const name = new TextEncoder().encode(path.startsWith("@") ? `\0${path.slice(1)}` : path);
  if (name.length >= UNIX_PATH_MAX) throw new RangeError(`Socket path is too long: "${path}"`);
  const address: Bytes = new Uint8Array(2 + name.length + (path.startsWith("@") ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, HOST_IS_LITTLE_ENDIAN);
  address.set(name, 2);
  const fd = check("open unix socket", libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    check(`connect to "${path}"`, libc().connect(fd, address, address.length));
    const message: Bytes = new TextEncoder().encode(text);
    const sent = libc().send(fd, message, BigInt(message.length), MSG_NOSIGNAL);
    check(`send to "${path}"`, sent);
  } finally {
    libc().close(fd);
  }
}
