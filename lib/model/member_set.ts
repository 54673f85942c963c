/**
 * A set of members that changes in place and remembers, within a bound, what changed: so that one pod
 * more in a set of 10,000 costs one element on its way to the kernel, not 10,000 comparisons.
 *
 * The members alone are the truth; the log of changes only saves work. A reader that has seen
 * revision R asks for the changes since R, and compares everything when the log no longer says.
 */

import { Address } from "../ip/address.ts";
import type { AddressPort } from "./address_port.ts";

/** What a set's members are: all addresses, or all addresses with a port. Equal ones have equal texts. */
export type Member = Address | AddressPort;

/** The address of a member. */
export function addressOf(member: Member): Address {
  return member instanceof Address ? member : member.address;
}

/** Members added and removed since a revision; a member is in at most one of the two. */
export interface MemberChanges {
  readonly added: readonly Member[];
  readonly removed: readonly Member[];
}

/** How many changes the log keeps; a reader further behind compares the whole set. */
const LOG_LENGTH_MAX = 1024;

/**
 * Members with reference counts: two pods may hold one address for a moment (the old one is going, the
 * new one has come), and the address stays until the last of them is gone.
 */
export class MemberSet {
  /** By their texts. */
  readonly #members = new Map<string, Member>();
  /** References beyond the first, which few members have. */
  readonly #others = new Map<string, number>();
  #log: Member[] = [];
  /** The revision before the first entry of the log. */
  #logStart = 0;

  /** Grows with each change of the members. */
  get revision(): number {
    return this.#logStart + this.#log.length;
  }

  /** Number of members. */
  get size(): number {
    return this.#members.size;
  }

  /** Whether an equal member is in the set. */
  has(member: Member): boolean {
    return this.#members.has(member.toString());
  }

  /** The members, in no order. */
  members(): IterableIterator<Member> {
    return this.#members.values();
  }

  /** Adds a reference to `member`; the first one makes it a member. */
  add(member: Member): void {
    const key = member.toString();
    if (this.#members.has(key)) {
      this.#others.set(key, (this.#others.get(key) ?? 0) + 1);
    } else {
      this.#members.set(key, member);
      this.#record(member);
    }
  }

  /** Removes a reference; without any the member leaves. */
  remove(member: Member): void {
    const key = member.toString();
    const others = this.#others.get(key) ?? 0;
    if (others > 1) this.#others.set(key, others - 1);
    else if (others === 1) this.#others.delete(key);
    else if (this.#members.delete(key)) this.#record(member);
  }

  /** The changes since `revision`; `undefined` if the log does not reach back that far. */
  changesSince(revision: number): MemberChanges | undefined {
    if (revision < this.#logStart || revision > this.revision) return undefined;
    // A member's entries alternate between coming and going: an even number of them is no change.
    const flipped = new Map<string, Member>();
    for (const member of this.#log.slice(revision - this.#logStart)) {
      const key = member.toString();
      if (!flipped.delete(key)) flipped.set(key, member);
    }
    const added: Member[] = [];
    const removed: Member[] = [];
    for (const [key, member] of flipped) {
      (this.#members.has(key) ? added : removed).push(member);
    }
    return { added, removed };
  }

  #record(member: Member): void {
    this.#log.push(member);
    if (this.#log.length > 2 * LOG_LENGTH_MAX) {
      this.#log = this.#log.slice(LOG_LENGTH_MAX);
      this.#logStart += LOG_LENGTH_MAX;
    }
  }
}
