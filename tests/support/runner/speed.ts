/**
 * The three speeds of the suite. The text of a test file shows what it needs: a file that asks the kernel
 * calls `requireIsolation()`, a file that runs one of our executables imports the path of it.
 */

/** `unit`: no namespaces, no executables, no root; `kernel`: what asks the kernel; `all`: the suite. */
export type Speed = "unit" | "kernel" | "all";

/** The call with which a test says that it must not run on the machine itself. */
export const ASKS_KERNEL = "requireIsolation(";

/** What else a unit test does without: the compiled executables, and the isolation itself. */
const NEEDS_MORE = /\bCALYX_DIST\b|\/(executable|isolate)\.ts"/;

/** Whether a test file with this text belongs to `speed`. */
export function isOfSpeed(text: string, speed: Speed): boolean {
  const asksKernel = text.includes(ASKS_KERNEL);
  switch (speed) {
    case "unit":
      return !asksKernel && !NEEDS_MORE.test(text);
    case "kernel":
      return asksKernel;
    case "all":
      return true;
  }
}
