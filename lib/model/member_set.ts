/**
 * A set of members that changes in place and remembers, within a bound, what changed: so that one pod
 * more in a set of 10,000 costs one element on its way to the kernel, not 10,000 comparisons.
 *
 * The members alone are the truth; the log of changes only saves work. A reader that has seen
 * revision R asks for the changes since R, and compares everything when the log no longer says.
 */

/** What a set's members are. */
export type Member = string;

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
  readonly #counts = new Map<Member, number>();
  #log: Member[] = [];
  /** The revision before the first entry of the log. */
  #logStart = 0;

  /** Grows with each change of the members. */
  get revision(): number {
    return this.#logStart + this.#log.length;
  }

  /** Number of members. */
  get size(): number {
    return this.#counts.size;
  }

  /** Whether `member` is in the set. */
  has(member: Member): boolean {
    return this.#counts.has(member);
  }

  /** The members, in no order. */
  members(): IterableIterator<Member> {
    return this.#counts.keys();
  }

  /** Counts one more reference to `member`. */
  add(member: Member): void {
    const count = this.#counts.get(member) ?? 0;
    this.#counts.set(member, count + 1);
    if (count === 0) this.#record(member);
  }

  /** Counts one reference less; the member leaves with its last. */
  remove(member: Member): void {
    const count = this.#counts.get(member) ?? 0;
    if (count > 1) {
      this.#counts.set(member, count - 1);
    } else if (count === 1) {
      this.#counts.delete(member);
      this.#record(member);
    }
  }

  /** What changed since `revision`, or `undefined` when the log does not reach back so far. */
  changesSince(revision: number): MemberChanges | undefined {
    if (revision < this.#logStart || revision > this.revision) return undefined;
    // A member's entries alternate between coming and going: an even number of them is no change.
    const flips = new Map<Member, number>();
    for (const member of this.#log.slice(revision - this.#logStart)) {
      flips.set(member, (flips.get(member) ?? 0) + 1);
    }
    const added: Member[] = [];
    const removed: Member[] = [];
    for (const [member, count] of flips) {
      if (count % 2 === 1) (this.#counts.has(member) ? added : removed).push(member);
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
