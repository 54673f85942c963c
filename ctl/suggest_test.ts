import { assertEquals } from "@std/assert";
import { nearestWord, suggest } from "./suggest.ts";

const WORDS = ["get", "explain", "version", "workloadendpoints", "wep", "nodes"];
const CASES: readonly [string, string | undefined][] = [
  ["gte", "get"],
  ["GET", "get"],
  ["exlpain", "explain"],
  ["workloadendpionts", "workloadendpoints"],
  ["workloadendpointz", "workloadendpoints"],
  ["wpe", "wep"],
  ["node", "nodes"],
  ["ge", "get"],
  ["pods", undefined],
  ["describe", undefined],
  ["", undefined],
];
for (const [word, expected] of CASES) {
  Deno.test(`nearestWord() of "${word}" is ${expected}`, () => {
    assertEquals(nearestWord(word, WORDS), expected);
  });
}

Deno.test("suggest() asks with the nearest word, or says nothing", () => {
  assertEquals(suggest("verison", WORDS), '; did you mean "version"?');
  assertEquals(suggest("quux", WORDS), "");
});
