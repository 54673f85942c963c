import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import { DetachmentStore } from "./detachments.ts";

Deno.test("DetachmentStore knows after a restart what it knew, and leaves out what is damaged", async () => {
  const folder = await Deno.makeTempDir();
  const log: string[] = [];
  const logger = createLogger({ write: (line) => log.push(line) });
  try {
    const store = new DetachmentStore(folder, logger);
    assertEquals(await store.load(), new Map());
    const long = `${"n".repeat(63)}/${"p".repeat(253)}`;
    for (const pod of ["x/web", "x/db", long]) store.set(pod, `uid of ${pod}`);
    store.set("x/db", undefined);
    store.set("x/never", undefined);
    await Deno.writeTextFile(`${folder}/damaged.json`, "null");
    await Deno.writeTextFile(`${folder}/half.json.new`, "{");
    const uids = await new DetachmentStore(folder, logger).load();
    assertEquals(
      [...uids].sort(),
      [[long, `uid of ${long}`], ["x/web", "uid of x/web"]],
    );
    assertEquals(log.map((it) => JSON.parse(it).message), ["detachment file ignored"]);
    assertEquals((await Array.fromAsync(Deno.readDir(folder))).length, 3);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
