/**
 * What a test says that changes the network, mounts or /run: that it must not run on the machine
 * itself. The runner (run.ts) looks for the call in the text of a test file, so that it can leave the
 * file out where the machine gives no namespaces.
 */

import { libc } from "../../../lib/kernel/symbols.ts";
import { isInside } from "./isolate.ts";

// Opened here, or the first test that calls it would be told that it leaks a library.
libc();

/**
 * Refuses to go on outside of namespaces of our own.
 *
 * @throws {Error} if `CALYX_ISOLATED` is not set, or set without being true
 */
export function requireIsolation(): void {
  const claimed = Deno.env.get("CALYX_ISOLATED") === "1";
  const contradicted = Deno.env.has("CALYX_OUTSIDE_NAMESPACE") && !isInside();
  if (claimed && !contradicted) return;
  throw new Error("This test changes the network: run it by `deno task test`, which isolates it");
}
