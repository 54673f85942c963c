/**
 * Ranges of addresses to allocate from, with the defaults and the rules of the reference allocator
 * host-local: one address comes out of each set of ranges, in turn, never the range's gateway.
 * Not for what is taken: that is on disk (`store.ts`).
 */

import { Address, bitsOf } from "../../lib/ip/address.ts";
import type { Prefix } from "../../lib/ip/prefix.ts";
import {
  type AddressRange,
  mergeRanges,
  rangesContain,
  subtractRanges,
} from "../../lib/ip/range.ts";

/** A range with its defaults filled in; both ends are part of it. */
export interface IpamRange {
  readonly subnet: Prefix;
  readonly start: Address;
  readonly end: Address;
  readonly gateway: Address;
  /** Excluded ranges, sorted and disjoint. */
  readonly excluded: readonly AddressRange[];
}

/** Ranges of one family that serve the same purpose: an address is taken from any of them. */
export type RangeSet = readonly IpamRange[];

/** A range as configured. */
export interface RangeOptions {
  readonly subnet: Prefix;
  readonly rangeStart?: Address | undefined;
  readonly rangeEnd?: Address | undefined;
  readonly gateway?: Address | undefined;
  /** Of the subnet's family; one beyond the range excludes nothing. */
  readonly exclude?: readonly Prefix[] | undefined;
}

/**
 * Fills in what a range leaves unsaid: gateway and start are the first host address; the end is the
 * last address, for IPv4 the last but the broadcast address.
 *
 * @throws {RangeError} if the subnet has host bits or no room, start and end do not lie in it, or
 * nothing but what is excluded does
 */
export function completeRange(options: RangeOptions): IpamRange {
  const { subnet } = options;
  const { family } = subnet.address;
  if (subnet.length > bitsOf(family) - 2) {
    throw new RangeError(`Subnet ${subnet} is too small to allocate from`);
  }
  const { first, last } = subnet.range;
  if (subnet.address.value !== first) {
    throw new RangeError(`Subnet ${subnet} has host bits set: the network is ${subnet.network}`);
  }
  const start = options.rangeStart ?? Address.of(family, first + 1n);
  const end = options.rangeEnd ?? Address.of(family, family === 4 ? last - 1n : last);
  if (!subnet.contains(start)) throw new RangeError(`rangeStart ${start} is not in ${subnet}`);
  if (!subnet.contains(end)) throw new RangeError(`rangeEnd ${end} is not in ${subnet}`);
  if (end.value < start.value) throw new RangeError(`rangeEnd ${end} is before ${start}`);
  const gateway = options.gateway ?? Address.of(family, first + 1n);
  if (gateway.family !== family) {
    throw new RangeError(`gateway ${gateway} is of another family than ${subnet}`);
  }
  const excluded = mergeRanges((options.exclude ?? []).map((it) => it.range));
  const range = { subnet, start, end, gateway, excluded };
  if (subtractRanges([{ first: start.value, last: end.value }], excluded).length === 0) {
    throw new RangeError(`All of ${formatRange(range)} is excluded`);
  }
  return range;
}

/** Whether an address is excluded. */
export function isExcluded({ excluded }: IpamRange, address: Address): boolean {
  return rangesContain(excluded, address.value);
}

/** Whether an address lies between the ends of a range. */
export function rangeContains({ start, end }: IpamRange, address: Address): boolean {
  return address.family === start.family && address.value >= start.value &&
    address.value <= end.value;
}

/**
 * Asserts that sets can be used together: none is empty or of two families, nothing overlaps.
 *
 * @throws {RangeError} naming the ranges
 */
export function validateRangeSets(sets: readonly RangeSet[]): void {
  for (const set of sets) {
    if (set.length === 0) throw new RangeError("Empty range set");
    const families = new Set(set.map((it) => it.start.family));
    if (families.size > 1) {
      throw new RangeError(`Range set ${formatRangeSet(set)} mixes address families`);
    }
  }
  const ranges = sets.flat();
  ranges.forEach((range, index) => {
    const other = ranges.slice(index + 1).find((it) => overlaps(range, it));
    if (other !== undefined) {
      throw new RangeError(`Ranges ${formatRange(range)} and ${formatRange(other)} overlap`);
    }
  });
}

function overlaps(a: IpamRange, b: IpamRange): boolean {
  return a.start.family === b.start.family && a.start.value <= b.end.value &&
    b.start.value <= a.end.value;
}

/** `10.0.0.1-10.0.0.254`. */
export function formatRange({ start, end }: Pick<IpamRange, "start" | "end">): string {
  return `${start}-${end}`;
}

/** The ranges with commas between. */
export function formatRangeSet(set: RangeSet): string {
  return set.map(formatRange).join(",");
}

/** An address that may be allocated, and its range. */
export interface Candidate {
  readonly address: Address;
  readonly range: IpamRange;
}

/**
 * The addresses of a set, each once, in the order in which they are tried: from the one behind `last`
 * (the one that was given out last) to the end, and around to `last` itself. Gateways and what is
 * excluded are left out.
 */
export function* candidates(set: RangeSet, last: Address | undefined): Generator<Candidate> {
  const found = last === undefined ? -1 : set.findIndex((it) => rangeContains(it, last));
  const origin = set[found];
  if (last === undefined || origin === undefined) {
    for (const range of set) yield* between(range, range.start.value, range.end.value);
    return;
  }
  yield* between(origin, last.value + 1n, origin.end.value);
  for (const range of [...set.slice(found + 1), ...set.slice(0, found)]) {
    yield* between(range, range.start.value, range.end.value);
  }
  yield* between(origin, origin.start.value, last.value);
}

function* between(range: IpamRange, first: bigint, last: bigint): Generator<Candidate> {
  if (first > last) return;
  const gateway = { first: range.gateway.value, last: range.gateway.value };
  for (const piece of subtractRanges([{ first, last }], [...range.excluded, gateway])) {
    for (let value = piece.first; value <= piece.last; value++) {
      yield { address: Address.of(range.start.family, value), range };
    }
  }
}
