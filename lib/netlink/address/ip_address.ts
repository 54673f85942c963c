/** IP addresses and address families as rtnetlink carries them. AF_*: <linux/socket.h>. */

import { Address, type Family } from "../../ip/address.ts";
import type { Codec } from "../schema.ts";

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;

/** The AF_* of `family`; AF_UNSPEC, which stands for both, of none. */
export function familyNumber(family: Family | undefined): number {
  return family === undefined ? AF_UNSPEC : family === 4 ? AF_INET : AF_INET6;
}

/**
 * The family that an AF_* stands for.
 *
 * @throws {RangeError} if it is another than AF_INET and AF_INET6
 */
export function familyOf(number: number): Family {
  if (number === AF_INET) return 4;
  if (number === AF_INET6) return 6;
  throw new RangeError(`Address family must be ${AF_INET} or ${AF_INET6}: got ${number}`);
}

/** IP addresses as payload: 4 or 16 bytes. */
export const ipAddress: Codec<Address> = {
  nested: false,
  size: undefined,
  write: (writer, value) => writer.raw(value.bytes),
  read(bytes) {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw new RangeError(`An IP address has 4 or 16 bytes: got ${bytes.length}`);
    }
    return Address.fromBytes(bytes);
  },
};
