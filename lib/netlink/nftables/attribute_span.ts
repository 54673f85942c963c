/** Where attributes lie in an encoded message: what an offset that the kernel names belongs to. */

import { HOST_IS_LITTLE_ENDIAN, viewOf, Writer } from "../buffer.ts";
import { encodeRequest, NLMSG_HDRLEN, type Request } from "../message.ts";
import { NLA_TYPE_MASK } from "../schema.ts";
import { nfgenmsg } from "./message.ts";

/** Bytes of `struct nlattr`. */
export const ATTRIBUTE_HEADER = 4;

/** One attribute, from its header to before its padding. */
export interface AttributeSpan {
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

/** The attributes between two offsets. */
export function* spans(bytes: Uint8Array, from: number, to: number): Generator<AttributeSpan> {
  const view = viewOf(bytes);
  for (let start = from; start + ATTRIBUTE_HEADER <= to;) {
    const length = view.getUint16(start, HOST_IS_LITTLE_ENDIAN);
    if (length < ATTRIBUTE_HEADER || start + length > to) return;
    const type = view.getUint16(start + 2, HOST_IS_LITTLE_ENDIAN) & NLA_TYPE_MASK;
    yield { type, start, end: start + length };
    start += (length + 3) & ~3;
  }
}

/**
 * The payload of the entry of a list that the kernel refused.
 *
 * @param list the attribute that is the list
 * @param offset `NetlinkError.attributeOffset`, in bytes from the start of the message
 * @returns undefined where the offset is in none
 */
export function refusedEntry(
  request: Request,
  list: number,
  offset: number,
): Uint8Array | undefined {
  const writer = new Writer();
  encodeRequest(writer, request, 0);
  const message = writer.bytes;
  for (const { type, start, end } of spans(message, NLMSG_HDRLEN + nfgenmsg.size, message.length)) {
    if (type !== list) continue;
    for (const entry of spans(message, start + ATTRIBUTE_HEADER, end)) {
      if (offset < entry.start || offset >= entry.end) continue;
      return message.slice(entry.start + ATTRIBUTE_HEADER, entry.end);
    }
  }
  return undefined;
}
