/** Golden files: an expected text on disk that `deno task golden` rewrites, for a person to review. */

import { assertEquals } from "@std/assert";

const FOLDER = new URL("../../golden/", import.meta.url);

/** Asserts that `text` is what tests/golden/`name` holds; rewrites it when CALYX_GOLDEN=write. */
export async function assertGolden(name: string, text: string): Promise<void> {
  const url = new URL(name, FOLDER);
  if (Deno.env.get("CALYX_GOLDEN") === "write") {
    await Deno.mkdir(new URL("../", url), { recursive: true });
    await Deno.writeTextFile(url, text);
    return;
  }
  const expected = await Deno.readTextFile(url).catch(() => "");
  assertEquals(text, expected, `Golden ${name} differs: deno task golden rewrites it`);
}
