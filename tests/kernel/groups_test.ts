import { assertEquals } from "@std/assert";
import { GROUPS } from "./groups.ts";

const ROOT = `${import.meta.dirname}/../..`;

Deno.test("GROUPS name test files that exist", async () => {
  const missing = [];
  for (const path of GROUPS.flatMap((it) => it.files)) {
    const file = await Deno.stat(`${ROOT}/${path}`).catch(() => undefined);
    if (file?.isFile !== true) missing.push(path);
  }
  assertEquals(missing, []);
});
