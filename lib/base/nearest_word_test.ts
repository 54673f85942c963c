import { assertEquals } from "@std/assert";
import { nearestWord } from "./nearest_word.ts";

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
