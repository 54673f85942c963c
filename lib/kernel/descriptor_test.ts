import { assertEquals, assertThrows } from "@std/assert";
import { AssertionError } from "../base/assert.ts";
import { cString, O_WRONLY, openFile, readFile, writeFile } from "./descriptor.ts";
import { KernelError } from "./errno.ts";
import { libc } from "./symbols.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

/** Without opening anything, which would take the number. */
function isOpen(fd: number): boolean {
  try {
    Deno.lstatSync(`/proc/self/fd/${fd}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

Deno.test("Descriptor closes once", () => {
  const first = openFile("/dev/null");
  assertEquals(isOpen(first.fd), true);
  first[Symbol.dispose]();
  assertEquals(isOpen(first.fd), false);
  using second = openFile("/dev/null"); // takes the number that is free again
  assertEquals(second.fd, first.fd);
  first[Symbol.dispose]();
  assertEquals(isOpen(second.fd), true);
});

Deno.test("openFile() keeps descriptors from programs that are started", () => {
  using file = openFile("/dev/null");
  const { stdout } = new Deno.Command("ls", { args: ["/proc/self/fd"] }).outputSync();
  assertEquals(new TextDecoder().decode(stdout).split("\n").includes(String(file.fd)), false);
});

Deno.test("openFile() says what and why", () => {
  const cases: Readonly<Record<string, readonly [string, number, string]>> = {
    "missing": ["/nowhere/at/all", 0, 'Cannot open "/nowhere/at/all": ENOENT'],
    "directory for writing": ["/proc", O_WRONLY, 'Cannot open "/proc": EISDIR'],
  };
  for (const [name, [path, flags, message]] of Object.entries(cases)) {
    assertEquals(assertThrows(() => openFile(path, flags), KernelError).message, message, name);
  }
});

Deno.test("readFile() and writeFile() undo each other", () => {
  const path = Deno.makeTempFileSync();
  try {
    writeFile(path, "größer\n");
    assertEquals(readFile(path), "größer\n");
    assertThrows(() => writeFile(path, ""), AssertionError, "nothing");
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("cString() ends in NUL and has no other", () => {
  assertEquals([...cString("ab")], [97, 98, 0]);
  assertThrows(() => cString("a\0b"), RangeError, "must not contain NUL");
});
