/**
 * IP addresses of flows as payload: as `ipAddress`, but few addresses make up many flows, so what was
 * read before is not made again.
 */

import type { Address } from "../../ip/address.ts";
import { ipAddress } from "../address/ip_address.ts";
import type { Codec } from "../schema.ts";

/** How many addresses are cached; beyond that the cache is emptied. */
const ADDRESSES_MAX = 1 << 16;

const addresses = new Map<number | string, Address>();

/** 4 or 16 bytes. */
export const flowAddress: Codec<Address> = {
  ...ipAddress,
  read(bytes) {
    const key = keyOf(bytes);
    let address = addresses.get(key);
    if (address === undefined) {
      address = ipAddress.read(bytes);
      if (addresses.size >= ADDRESSES_MAX) addresses.clear();
      addresses.set(key, address);
    }
    return address;
  },
};

/** The bytes as something that a map finds by value. */
function keyOf(bytes: Uint8Array): number | string {
  if (bytes.length !== 4) return String.fromCharCode(...bytes);
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}
