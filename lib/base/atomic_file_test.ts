import { assertEquals, assertThrows } from "@std/assert";
import { writeFileAtomic } from "./atomic_file.ts";

Deno.test("writeFileAtomic() writes for its owner alone, and leaves nothing where it cannot", () => {
  const folder = Deno.makeTempDirSync();
  const path = `${folder}/file`;
  writeFileAtomic(path, "one");
  writeFileAtomic(path, "two");
  assertEquals(Deno.readTextFileSync(path), "two");
  assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  Deno.mkdirSync(`${folder}/taken/inside`, { recursive: true });
  assertThrows(() => writeFileAtomic(`${folder}/taken`, "three"));
  assertThrows(() => writeFileAtomic(`${folder}/none/file`, "three"), Deno.errors.NotFound);
  assertEquals([...Deno.readDirSync(folder)].map((it) => it.name).sort(), ["file", "taken"]);
  Deno.removeSync(folder, { recursive: true });
});
