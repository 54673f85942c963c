/**
 * Netlink messages: requests are values until the socket sends them, replies are raw until a kind
 * parses them. `struct nlmsghdr`, NLM_F_*, NLMSG_*: <linux/netlink.h>.
 */

import { assert } from "../base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN, viewOf, type Writer } from "./buffer.ts";
import type { Codec, StructCodec, StructTable, StructValue } from "./schema.ts";

export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_ECHO = 0x8;
export const NLM_F_DUMP_INTR = 0x10;
/** Modifiers of a GET request. */
export const NLM_F_DUMP = 0x300;
/** Modifiers of a NEW request. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
/** `sizeof(struct nlmsghdr)`. */
export const NLMSG_HDRLEN = 16;

/** One kind of message: its name in the header file, number, fixed header and attribute set. */
export interface MessageKind<H extends StructTable, A> {
  /** `RTM_NEWLINK`, `NFT_MSG_NEWRULE`: for errors and debug output. */
  readonly name: string;
  readonly type: number;
  readonly header: StructCodec<H>;
  readonly attributes: Codec<A>;
}

/** A request as a value: what to send, and how to name it when the kernel refuses. */
export interface Request {
  readonly name: string;
  readonly type: number;
  /** NLM_F_* beyond NLM_F_REQUEST and NLM_F_ACK, which the socket adds. */
  readonly flags: number;
  /** What it is about, for errors: `link "cali0a1b…"`. */
  readonly subject: string;
  /** Writes the fixed header and the attributes. */
  readonly write: (writer: Writer) => void;
  /** How many bytes it takes, about, where they are thousands. */
  readonly bytes?: number;
}

/** A message from the kernel, not yet parsed; `payload` is a copy of its own. */
export interface RawMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly payload: Uint8Array;
}

/** A parsed message. */
export interface Message<H extends StructTable, A> {
  readonly header: { readonly [K in keyof H]: number };
  readonly attributes: A;
}

/** Makes a request of `kind`. */
export function request<H extends StructTable, A>(
  kind: MessageKind<H, A>,
  options: {
    readonly flags?: number;
    readonly subject?: string;
    readonly header: StructValue<H>;
    readonly attributes: A;
  },
): Request {
  return {
    name: kind.name,
    type: kind.type,
    flags: options.flags ?? 0,
    subject: options.subject ?? "",
    write(writer) {
      kind.header.write(writer, options.header);
      writer.align();
      kind.attributes.write(writer, options.attributes);
    },
  };
}

/** Parses a reply; asserts that it is of this kind. */
export function parseMessage<H extends StructTable, A>(
  kind: MessageKind<H, A>,
  raw: RawMessage,
): Message<H, A> {
  assert(raw.type === kind.type, `Message of type ${raw.type} is no ${kind.name}`);
  const headerSize = (kind.header.size + 3) & ~3;
  return {
    header: kind.header.read(raw.payload),
    attributes: kind.attributes.read(raw.payload.subarray(headerSize)),
  };
}

/** Writes `request` as one message. */
export function encodeRequest(
  writer: Writer,
  request: Request,
  sequence: number,
  flags = 0,
): void {
  const start = writer.length;
  writer.u32(0, HOST_IS_LITTLE_ENDIAN);
  writer.u16(request.type, HOST_IS_LITTLE_ENDIAN);
  writer.u16(request.flags | NLM_F_REQUEST | flags, HOST_IS_LITTLE_ENDIAN);
  writer.u32(sequence, HOST_IS_LITTLE_ENDIAN);
  writer.u32(0, HOST_IS_LITTLE_ENDIAN); // port id 0: from user space to the kernel
  request.write(writer);
  writer.patchU32(start, writer.length - start);
  writer.align();
}

/**
 * Splits what one recv() returned into messages.
 *
 * @throws {RangeError} if a length is impossible (the datagram was truncated)
 */
export function decodeMessages(bytes: Uint8Array): RawMessage[] {
  const messages: RawMessage[] = [];
  const view = viewOf(bytes);
  for (let offset = 0; offset < bytes.length;) {
    if (offset + NLMSG_HDRLEN > bytes.length) throw new RangeError("Netlink datagram is truncated");
    const length = view.getUint32(offset, HOST_IS_LITTLE_ENDIAN);
    if (length < NLMSG_HDRLEN || offset + length > bytes.length) {
      throw new RangeError(
        `Netlink message has length ${length} in ${bytes.length - offset} bytes`,
      );
    }
    messages.push({
      type: view.getUint16(offset + 4, HOST_IS_LITTLE_ENDIAN),
      flags: view.getUint16(offset + 6, HOST_IS_LITTLE_ENDIAN),
      sequence: view.getUint32(offset + 8, HOST_IS_LITTLE_ENDIAN),
      portId: view.getUint32(offset + 12, HOST_IS_LITTLE_ENDIAN),
      payload: bytes.slice(offset + NLMSG_HDRLEN, offset + length),
    });
    offset += (length + 3) & ~3;
  }
  return messages;
}
