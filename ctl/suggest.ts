/** What a misspelt word may have meant, as the end of a sentence. */

import { nearestWord } from "../lib/base/nearest_word.ts";

/** `; did you mean "…"?` for the nearest word; empty where none is near. */
export function suggest(word: string, words: Iterable<string>): string {
  const nearest = nearestWord(word, words);
  return nearest === undefined ? "" : `; did you mean "${nearest}"?`;
}
