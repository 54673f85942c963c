/**
 * DER, as strictly as the TLS library reads it: ITU-T X.690, the tags and lengths that certificates
 * have. What it refuses would end the process there.
 */

import type { Bytes } from "../base/bytes.ts";

/** Tags, with class and form: X.690 8.1.2. */
export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  sequence: 0x30,
  /** `[0] EXPLICIT`, `[3] EXPLICIT`. */
  context0: 0xa0,
  context3: 0xa3,
} as const;

/** The length's own bytes after the first one, at most: 16 MB. */
const LENGTH_BYTES_MAX = 3;

/** What the text of a structure is not. */
export class DerError extends Error {
  override readonly name = "DerError";
}

/** One value: its tag, its content, and all of it with tag and length. */
export interface DerValue {
  readonly tag: number;
  readonly content: Bytes;
  readonly whole: Bytes;
}

/** Reads the values of a structure one after the other. */
export class DerReader {
  readonly #bytes: Bytes;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Whether the next value has this tag. */
  hasNext(tag: number): boolean {
    return this.#bytes[this.#at] === tag;
  }

  /**
   * The next value, which must have this tag.
   *
   * @throws {DerError} if it has another one, ends too early, or is not encoded as DER
   */
  next(tag: number): DerValue {
    const start = this.#at;
    if (this.#byte() !== tag) throw new DerError("another tag");
    const length = this.#length();
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new DerError("it ends too early");
    const content = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return { tag, content, whole: this.#bytes.subarray(start, end) };
  }

  /** @throws {DerError} if anything is left */
  end(): void {
    if (!this.isAtEnd) throw new DerError("something follows");
  }

  /** X.690 10.1: the definite form, in as few bytes as may be. */
  #length(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > LENGTH_BYTES_MAX) throw new DerError("a length that DER has not");
    let length = 0;
    for (let index = 0; index < count; index++) length = length << 8 | this.#byte();
    if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw new DerError("a length too long");
    return length;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new DerError("it ends too early");
    return byte;
  }
}
