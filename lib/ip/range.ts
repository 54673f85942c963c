/**
 * Sets of addresses of one family as sorted, disjoint, merged ranges of numbers. The kernel refuses
 * overlapping intervals, so whatever goes into an interval set passes through here first.
 */

/** Addresses `first` to `last`, both included, as numbers of one family. */
export interface AddressRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** Sorts and merges: the result is ascending and disjoint, with adjacent ranges joined. */
export function mergeRanges(ranges: Iterable<AddressRange>): AddressRange[] {
  const sorted = [...ranges].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const merged: { first: bigint; last: bigint }[] = [];
  for (const { first, last } of sorted) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous.last + 1n) {
      if (last > previous.last) previous.last = last;
    } else {
      merged.push({ first, last });
    }
  }
  return merged;
}

/** The addresses of `ranges` that are in none of `except`; both may overlap in any way. */
export function subtractRanges(
  ranges: Iterable<AddressRange>,
  except: Iterable<AddressRange>,
): AddressRange[] {
  const holes = mergeRanges(except);
  const left: AddressRange[] = [];
  for (const range of mergeRanges(ranges)) {
    let first = range.first;
    for (const hole of holes) {
      if (hole.last < first) continue;
      if (hole.first > range.last) break;
      if (hole.first > first) left.push({ first, last: hole.first - 1n });
      first = hole.last + 1n;
    }
    if (first <= range.last) left.push({ first, last: range.last });
  }
  return left;
}

/** Whether `value` lies in one of the ranges, which are sorted and disjoint. */
export function rangesContain(ranges: readonly AddressRange[], value: bigint): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle];
    if (range === undefined) return false;
    if (value < range.first) high = middle - 1;
    else if (value > range.last) low = middle + 1;
    else return true;
  }
  return false;
}
