import { assertEquals, assertThrows } from "@std/assert";
import { formatDuration, parseDuration } from "./duration.ts";

const DURATIONS: readonly [string, number][] = [
  ["0", 0],
  ["10", 10_000],
  ["30s", 30_000],
  ["1.5s", 1500],
  ["500ms", 500],
  ["2m", 120_000],
];
for (const [text, expected] of DURATIONS) {
  Deno.test(`parseDuration() reads "${text}"`, () => assertEquals(parseDuration(text), expected));
}

for (const text of ["", "s", "-1s", "1d", "ten", "1s1", "99999999h"]) {
  Deno.test(`parseDuration() refuses "${text}"`, () => {
    assertThrows(() => parseDuration(text), SyntaxError, "Cannot parse duration");
  });
}

for (const text of ["0", "10s", "1500ms", "2m", "3h"]) {
  Deno.test(`formatDuration() writes "${text}"`, () => {
    assertEquals(formatDuration(parseDuration(text)), text);
  });
}
