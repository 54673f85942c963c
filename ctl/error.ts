/** What calyxctl says when it cannot do what it was asked for. */

/** One sentence for the person at the keyboard: what was wrong, and what to do instead. */
export class CtlError extends Error {
  override readonly name = "CtlError";
}
