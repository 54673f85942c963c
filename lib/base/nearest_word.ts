/** Finds the word that a misspelt one may have meant. */

/** The word of `words` nearest to `word`, or `undefined` where none is near. */
export function nearestWord(word: string, words: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  // One edit in a short word, two in a long one; with more it is another word.
  const distanceMax = wanted.length < 6 ? 1 : 2;
  let nearest: string | undefined;
  let nearestDistance = distanceMax + 1;
  for (const candidate of words) {
    const distance = distanceOf(wanted, candidate.toLowerCase());
    if (distance < nearestDistance) {
      nearest = candidate;
      nearestDistance = distance;
    }
  }
  return nearest;
}

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours. */
function distanceOf(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replacement = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let distance = Math.min(at(previous, j) + 1, at(current, j - 1) + 1, replacement);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, at(beforePrevious, j - 2) + 1);
      }
      current.push(distance);
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
