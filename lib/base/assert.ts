/**
 * Assertions: programmer errors stop the process; the kernel keeps the last safe ruleset.
 * Not for bad input: that is what `SyntaxError`, `RangeError` and the room's own errors are for.
 */

/**
 * Asserts that `condition` holds.
 *
 * @throws {AssertionError} if it does not
 */
export function assert(condition: unknown, message = "Assertion failed"): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** A programmer error: only the outermost frame catches it, and the process stops. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}
