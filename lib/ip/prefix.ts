/** An IP prefix (CIDR) as a value: an address and a length. */

import { Address, bitsOf } from "./address.ts";
import type { AddressRange } from "./range.ts";

/** A prefix; `address` may carry host bits, as an interface's address does. */
export class Prefix {
  readonly address: Address;
  readonly length: number;

  /** @throws {RangeError} if `length` does not fit the family */
  constructor(address: Address, length: number) {
    if (!Number.isInteger(length) || length < 0 || length > bitsOf(address.family)) {
      throw new RangeError(`Prefix length of ${address} cannot be ${length}`);
    }
    this.address = address;
    this.length = length;
  }

  /**
   * Parses `address/length`.
   *
   * @throws {SyntaxError} if `text` is no prefix
   */
  static parse(text: string): Prefix {
    const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
    const address = match?.[1] === undefined ? undefined : Address.tryParse(match[1]);
    const length = Number(match?.[2]);
    if (address === undefined || length > bitsOf(address.family)) {
      throw new SyntaxError(`Cannot parse IP prefix "${text}"`);
    }
    return new Prefix(address, length);
  }

  /** Like {@link Prefix.parse}, with `undefined` for text that is no prefix. */
  static tryParse(text: string): Prefix | undefined {
    try {
      return Prefix.parse(text);
    } catch {
      return undefined;
    }
  }

  /** The prefix of one address alone: /32 or /128. */
  static host(address: Address): Prefix {
    return new Prefix(address, bitsOf(address.family));
  }

  /** The same prefix with its host bits cleared. */
  get network(): Prefix {
    return new Prefix(Address.of(this.address.family, this.range.first), this.length);
  }

  /** First and last address as numbers. */
  get range(): AddressRange {
    const hostBits = BigInt(bitsOf(this.address.family) - this.length);
    const first = (this.address.value >> hostBits) << hostBits;
    return { first, last: first | ((1n << hostBits) - 1n) };
  }

  /** Whether `address` lies in this prefix; never for another family. */
  contains(address: Address): boolean {
    if (address.family !== this.address.family) return false;
    const { first, last } = this.range;
    return address.value >= first && address.value <= last;
  }

  /** `address/length`, as given. */
  toString(): string {
    return `${this.address}/${this.length}`;
  }

  /** JSON shows the text. */
  toJSON(): string {
    return this.toString();
  }
}
