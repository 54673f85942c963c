/** Makes text from outside safe for a terminal. */

/**
 * Control characters (C0, DEL, C1), those that turn the direction of writing round (UAX #9), line and
 * paragraph separators, and the byte order mark.
 */
const CONTROLS_REGEXP = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

/** `text` with each control character, newlines among them, as an escape of JSON: `\u001b`, `\n`. */
export function escapeControls(text: string): string {
  return text.replaceAll(CONTROLS_REGEXP, (character) => {
    const escape = JSON.stringify(character).slice(1, -1);
    if (escape !== character) return escape;
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
