/** Byte goldens that can be read: hexadecimal digits, and after each `#` what they say. */

import type { Bytes } from "../../../lib/base/bytes.ts";
import { Writer } from "../../../lib/netlink/buffer.ts";
import { encodeRequest, type Request } from "../../../lib/netlink/message.ts";

/** The bytes of a golden: `#` begins a comment, white space means nothing. */
export function goldenBytes(text: string): Bytes {
  return Uint8Array.fromHex(text.replaceAll(/#.*$|\s/gm, ""));
}

/** The bytes of `request` as the socket sends it, with sequence number 0 and without NLM_F_ACK. */
export function requestBytes(request: Request): Uint8Array {
  const writer = new Writer();
  encodeRequest(writer, request, 0);
  return writer.bytes;
}
