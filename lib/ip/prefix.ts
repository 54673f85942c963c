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
    const prefix = Prefix.tryParse(text);
    if (prefix === undefined) throw new SyntaxError(`Cannot parse IP prefix "${text}"`);
    return prefix;
  }

  /** Like {@link Prefix.parse}, with `undefined` for text that is no prefix. */
  static tryParse(text: string): Prefix | undefined {
    const slash = text.indexOf("/");
    if (slash < 0) return undefined;
    const digits = text.slice(slash + 1);
    if (!/^(?:0|[1-9]\d{0,2})$/.test(digits)) return undefined;
    const address = Address.tryParse(text.slice(0, slash));
    const length = Number(digits);
    if (address === undefined || length > bitsOf(address.family)) return undefined;
    return new Prefix(address, length);
  }

  /** The prefix of one address alone: /32 or /128. */
  static host(address: Address): Prefix {
    return new Prefix(address, bitsOf(address.family));
  }

  /** The same prefix with its host bits cleared. */
  get network(): Prefix {
    const { family, value } = this.address;
    const { first } = this.range;
    return first === value ? this : new Prefix(Address.of(family, first), this.length);
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
    return `${this.address.format()}/${this.length}`;
  }

  /** JSON shows the text. */
  toJSON(): string {
    return this.toString();
  }
}
