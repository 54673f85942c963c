import { assertEquals } from "@std/assert";
import { ASKS_KERNEL, isOfSpeed } from "./speed.ts";

const TEXTS = {
  "pure": "assertEquals(1, 1);",
  "asks the kernel": `${ASKS_KERNEL});`,
  "runs an executable": `import { runExecutable } from "../program/${"executable"}.ts";`,
  "runs what was built": `Deno.env.get("${"CALYX"}_DIST")`,
  "isolates by itself": `import { runIsolated } from "./${"isolate"}.ts";`,
};

Deno.test("isOfSpeed() goes by what a test file says it needs", () => {
  const named = (speed: "unit" | "kernel" | "all"): string[] =>
    Object.entries(TEXTS).filter(([, text]) => isOfSpeed(text, speed)).map(([name]) => name);
  assertEquals(named("unit"), ["pure"]);
  assertEquals(named("kernel"), ["asks the kernel"]);
  assertEquals(named("all"), Object.keys(TEXTS));
});
