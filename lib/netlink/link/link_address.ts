/** Link-layer addresses (MAC) as text, `aa:bb:cc:dd:ee:ff`, lower case. */

import type { Bytes } from "../../base/bytes.ts";
import type { Codec } from "../schema.ts";

/**
 * The bytes of a link address.
 *
 * @throws {SyntaxError} if `text` is none
 */
export function parseLinkAddress(text: string): Bytes {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})*$/.test(text)) {
    throw new SyntaxError(`Cannot parse link address "${text}"`);
  }
  return Uint8Array.from(text.split(":"), (it) => parseInt(it, 16));
}

/** The canonical text of a link address of any length; Ethernet has 6 bytes. */
export function formatLinkAddress(bytes: Uint8Array): string {
  return Array.from(bytes, (it) => it.toString(16).padStart(2, "0")).join(":");
}

/** Link addresses as payload. */
export const linkAddress: Codec<string> = {
  nested: false,
  size: undefined,
  write: (writer, value) => writer.raw(parseLinkAddress(value)),
  read: formatLinkAddress,
};
