/** A growing buffer that netlink messages are written into; integers in host or network order. */

import { assert } from "../base/assert.ts";
import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";

export { HOST_IS_LITTLE_ENDIAN };

/** Writes forward; lengths that are known only later are patched in. Attributes align to 4 bytes. */
export class Writer {
  #bytes: Bytes;
  #view: DataView;
  #length = 0;

  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Number of bytes written. */
  get length(): number {
    return this.#length;
  }

  /** What has been written, without a copy: valid until the next write. */
  get bytes(): Bytes {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Starts again at the beginning; the memory stays. */
  reset(): void {
    this.#length = 0;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = value;
    this.#length += 1;
  }

  u16(value: number, littleEndian: boolean): void {
    this.#reserve(2);
    this.#view.setUint16(this.#length, value, littleEndian);
    this.#length += 2;
  }

  u32(value: number, littleEndian: boolean): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, littleEndian);
    this.#length += 4;
  }

  u64(value: bigint, littleEndian: boolean): void {
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, value, littleEndian);
    this.#length += 8;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  zero(count: number): void {
    this.#reserve(count);
    this.#bytes.fill(0, this.#length, this.#length + count);
    this.#length += count;
  }

  /** Pads with zeros to a multiple of 4 (NLA_ALIGNTO, NLMSG_ALIGNTO), counted from `start`. */
  align(start = 0): void {
    const rest = (this.#length - start) & 3;
    if (rest !== 0) this.zero(4 - rest);
  }

  /** Overwrites the u16 at `offset`, host order: the length of an attribute. */
  patchU16(offset: number, value: number): void {
    assert(value <= 0xffff, "A netlink attribute holds at most 65535 bytes");
    this.#view.setUint16(offset, value, HOST_IS_LITTLE_ENDIAN);
  }

  /** Overwrites the u32 at `offset`, host order: the length of a message. */
  patchU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, HOST_IS_LITTLE_ENDIAN);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    let capacity = this.#bytes.length * 2;
    while (capacity < needed) capacity *= 2;
    const bytes = new Uint8Array(capacity);
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

/** A view of the same bytes, for reading integers. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
