import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { mergeRanges, rangesContain, subtractRanges } from "./range.ts";

const range = fc.tuple(fc.nat(30), fc.nat(30)).map(([a, b]) => ({
  first: BigInt(Math.min(a, b)),
  last: BigInt(Math.max(a, b)),
}));
const ranges = fc.array(range, { maxLength: 6 });

Deno.test("subtractRanges() holds what the ranges hold and the exceptions do not", () => {
  fc.assert(fc.property(ranges, ranges, (included, except) => {
    const left = subtractRanges(included, except);
    for (let value = -1n; value <= 31n; value++) {
      const within = (it: { first: bigint; last: bigint }): boolean =>
        value >= it.first && value <= it.last;
      const expected = included.some(within) && !except.some(within);
      assertEquals(left.some(within), expected);
      assertEquals(rangesContain(left, value), expected);
    }
  }));
});

Deno.test("mergeRanges() leaves no overlap, no neighbours and no disorder", () => {
  fc.assert(fc.property(ranges, (some) => {
    const merged = mergeRanges(some);
    merged.slice(1).forEach((it, index) => {
      assertEquals(it.first > (merged[index]?.last ?? 0n) + 1n, true);
    });
  }));
});
