import { assertEquals } from "@std/assert";
import { openFile } from "./descriptor.ts";
import { isJournal } from "./journal.ts";
import { libc } from "./symbols.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

Deno.test("isJournal() compares device and inode of the stream", async () => {
  const path = await Deno.makeTempFile();
  try {
    const { dev, ino } = await Deno.stat(path);
    using file = openFile(path);
    assertEquals(isJournal(file.fd, `${dev}:${ino}`), true);
    assertEquals(isJournal(file.fd, `${dev}:${Number(ino) + 1}`), false);
    for (const stream of [undefined, "", "x", `${dev}`]) {
      assertEquals(isJournal(file.fd, stream), false, stream);
    }
    assertEquals(isJournal(-1, `${dev}:${ino}`), false);
  } finally {
    await Deno.remove(path);
  }
});
