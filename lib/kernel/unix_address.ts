/** Addresses of unix sockets, `struct sockaddr_un`: <linux/un.h>, unix(7). */

import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";

export const AF_UNIX = 1;
/** `sizeof(sun_path)`. */
const UNIX_PATH_MAX = 108;

/**
 * The address of the socket at `path`; a leading `@` means the abstract namespace.
 *
 * @throws {RangeError} if the path is too long, or has a NUL in it
 */
export function encodeUnixAddress(path: string): Bytes {
  if (path.includes("\0")) throw new RangeError(`Socket path must not contain NUL: "${path}"`);
  const isAbstract = path.startsWith("@");
  const name = new TextEncoder().encode(isAbstract ? `\0${path.slice(1)}` : path);
  if (name.length >= UNIX_PATH_MAX) throw new RangeError(`Socket path is too long: "${path}"`);
  const address: Bytes = new Uint8Array(2 + name.length + (isAbstract ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, HOST_IS_LITTLE_ENDIAN);
  address.set(name, 2);
  return address;
}
