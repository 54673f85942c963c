/**
 * As much of protobuf's wire format as calls to containerd need: texts, small numbers, messages. Fields
 * are given and found by their numbers.
 */

import { assert } from "../../../lib/base/assert.ts";
import { type Bytes, concatBytes } from "../../../lib/base/bytes.ts";

/** A message to encode: a value for each field's number. */
export interface Message {
  readonly [field: number]: string | number | Message;
}

/** The fields of a message that was decoded; those that are bytes may be texts or messages. */
export type Decoded = ReadonlyMap<number, readonly (number | Uint8Array)[]>;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** Encodes a message. */
export function encodeMessage(message: Message): Bytes {
  const parts = Object.entries(message).flatMap(([field, value]) => {
    const number = Number(field);
    if (typeof value === "number") return [varint(number << 3 | VARINT), varint(value)];
    const bytes = typeof value === "string"
      ? new TextEncoder().encode(value)
      : encodeMessage(value);
    return [varint(number << 3 | LENGTH), varint(bytes.length), bytes];
  });
  return concatBytes(parts);
}

function varint(value: number): Bytes {
  const bytes: number[] = [];
  for (let rest = value; bytes.length === 0 || rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(rest % 128 + (rest >= 128 ? 128 : 0));
  }
  return Uint8Array.from(bytes);
}

/** Decodes a message. */
export function decodeMessage(bytes: Uint8Array): Decoded {
  const fields = new Map<number, (number | Uint8Array)[]>();
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = bytes[at++];
      assert(byte !== undefined, "A message ends in the middle of a number");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = readVarint();
    const type = tag & 7;
    let value: number | Uint8Array;
    if (type === VARINT) value = readVarint();
    else {
      const length = type === LENGTH ? readVarint() : type === FIXED64 ? 8 : 4;
      assert(type === LENGTH || type === FIXED64 || type === FIXED32, "A message of unknown form");
      value = bytes.subarray(at, at += length);
    }
    const field = Math.floor(tag / 8);
    fields.set(field, [...fields.get(field) ?? [], value]);
  }
  return fields;
}

/** The text in a field; "" where there is none. */
export function textOf(message: Decoded, field: number): string {
  const [value] = message.get(field) ?? [];
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : "";
}

/** The messages in a field. */
export function messagesOf(message: Decoded, field: number): Decoded[] {
  return (message.get(field) ?? []).flatMap((it) =>
    it instanceof Uint8Array ? [decodeMessage(it)] : []
  );
}
