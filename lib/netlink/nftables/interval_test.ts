import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type KeyRange, parseRanges, rangeElements } from "./interval.ts";

const v4 = (value: number): Uint8Array =>
  new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
const range = (first: number, last: number): KeyRange => ({ first: v4(first), last: v4(last) });

Deno.test("rangeElements() ends a range with the key after its last", () => {
  assertEquals([...rangeElements([range(0x0a000000, 0x0a0000ff), range(7, 7)])], [
    { key: v4(0x0a000000) },
    { key: v4(0x0a000100), flags: 1 },
    { key: v4(7) },
    { key: v4(8), flags: 1 },
  ]);
});

Deno.test("rangeElements() leaves the last range of all open", () => {
  assertEquals([...rangeElements([range(0, 0xffffffff)])], [{ key: v4(0), isOpen: true }]);
});

Deno.test("parseRanges() skips the end that nft puts first, and sorts", () => {
  const elements = [
    { key: v4(0xffffff00), isOpen: true },
    { key: v4(0), flags: 1 },
    { key: v4(8), flags: 1 },
    { key: v4(7) },
  ];
  assertEquals(parseRanges(elements), [range(7, 7), range(0xffffff00, 0xffffffff)]);
});

Deno.test("parseRanges() reads back disjoint ranges in any order, adjacent ones too", () => {
  const bounds = fc.uniqueArray(fc.nat(0xffffffff), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(bounds, fc.boolean(), fc.nat(), (values, adjacent, turn) => {
      const sorted = values.toSorted((a, b) => a - b);
      const ranges: KeyRange[] = [];
      for (let i = 0; i + 1 < sorted.length; i += adjacent ? 1 : 2) {
        const [first = 0, next = 0] = sorted.slice(i, i + 2);
        ranges.push(range(first, next - 1));
      }
      const elements = [...rangeElements(ranges)];
      const turned = [
        ...elements.slice(turn % elements.length),
        ...elements.slice(0, turn % elements.length),
      ];
      assertEquals(parseRanges(turned), ranges);
    }),
  );
});
