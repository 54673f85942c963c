import { assertEquals } from "@std/assert";
import { Sample } from "./sample.ts";

Deno.test("Sample.quantile() takes the nearest rank", () => {
  const sample = new Sample([5, 1, 4, 2, 3]);
  const cases: readonly (readonly [fraction: number, value: number])[] = [
    [0, 1],
    [0.2, 1],
    [0.21, 2],
    [0.5, 3],
    [0.9, 5],
    [1, 5],
  ];
  assertEquals(cases.map(([fraction]) => sample.quantile(fraction)), cases.map(([, it]) => it));
  assertEquals(new Sample().median, NaN);
});
