/** The error of calyxctl. */

/** One sentence for the person at the keyboard: what was wrong, and what to do instead. */
export class CtlError extends Error {
  override readonly name = "CtlError";
}
