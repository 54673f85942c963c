import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { requireIsolation } from "../../tests/support/isolation/isolation.ts";
import { AssertionError } from "../base/assert.ts";
import { sleep } from "../base/async.ts";
import { type Descriptor, openFile, readFile } from "./descriptor.ts";
import { KernelError } from "./errno.ts";
import {
  createNamespace,
  deleteNamespace,
  isNamespace,
  namespaceIdentity,
  openCurrentNamespace,
  openNamespace,
  withNamespace,
} from "./namespace.ts";

const FOLDER = "/run/namespace_test/deep";

/** Calls `f` with a namespace of its own at a path of its own. */
function withTestNamespace(name: string, f: (path: string, namespace: Descriptor) => void): void {
  requireIsolation();
  const path = `${FOLDER}/${name}`;
  createNamespace(path);
  try {
    using namespace = openNamespace(path);
    f(path, namespace);
  } finally {
    deleteNamespace(path);
  }
}

/** The identity of the namespace that this thread is in. */
function here(): string {
  using namespace = openCurrentNamespace();
  return namespaceIdentity(namespace);
}

/** The names of the links that this thread sees. */
function links(): string[] {
  const lines = readFile("/proc/thread-self/net/dev").split("\n");
  return lines.flatMap((it) => /^\s*([^:|]+):/.exec(it)?.[1] ?? []);
}

Deno.test("createNamespace() makes one that has nothing but loopback, and comes back", () => {
  requireIsolation();
  const before = here();
  withTestNamespace("fresh", (path, namespace) => {
    assertEquals(here(), before);
    assertNotEquals(namespaceIdentity(path), before);
    assertEquals(withNamespace(namespace, links), ["lo"]);
  });
});

Deno.test("createNamespace() refuses a path that exists and leaves what is there", () => {
  withTestNamespace("taken", (path) => {
    const before = namespaceIdentity(path);
    const error = assertThrows(() => createNamespace(path), KernelError);
    assertEquals([error.code, error.operation], ["EEXIST", `open "${path}"`]);
    assertEquals(namespaceIdentity(path), before);
  });
});

Deno.test("deleteNamespace() leaves nothing, and says so when there is nothing", () => {
  requireIsolation();
  const path = `${FOLDER}/gone`;
  createNamespace(path);
  deleteNamespace(path);
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
  assertEquals(assertThrows(() => deleteNamespace(path), KernelError).code, "ENOENT");
});

Deno.test("deleteNamespace() deletes the file that a lost mount left behind", () => {
  requireIsolation();
  const path = "/run/stale";
  Deno.writeTextFileSync(path, "");
  deleteNamespace(path);
  assertThrows(() => Deno.lstatSync(path), Deno.errors.NotFound);
});

Deno.test("namespaceIdentity() tells namespaces apart, whatever the path", () => {
  withTestNamespace("one", (path, namespace) => {
    assertEquals(namespaceIdentity(namespace), namespaceIdentity(path));
    assertEquals(withNamespace(namespace, here), namespaceIdentity(path));
    assertEquals(namespaceIdentity(`/proc/self/fd/${namespace.fd}`), namespaceIdentity(path));
    withTestNamespace("two", (other) => {
      assertNotEquals(namespaceIdentity(other), namespaceIdentity(path));
    });
    assertEquals(namespaceIdentity("/proc/thread-self/ns/net"), here());
  });
});

Deno.test("namespaceIdentity() is device and inode as stat(2) has them", () => {
  withTestNamespace("stat", (path) => {
    const { ino } = Deno.statSync(path);
    assertEquals(namespaceIdentity(path).split(":")[1], String(ino));
  });
});

Deno.test("isNamespace() and openNamespace() take network namespaces only", () => {
  requireIsolation();
  assertEquals(isNamespace("/proc/thread-self/ns/net"), true);
  const cases: Readonly<Record<string, string>> = {
    "/run/missing": "ENOENT",
    "/proc/self/ns/mnt": "EINVAL",
    "/etc/hostname": "EINVAL",
    "/run": "EINVAL",
    "/etc/hostname/net": "ENOTDIR",
  };
  for (const [path, code] of Object.entries(cases)) {
    assertEquals(isNamespace(path), false, path);
    assertEquals(assertThrows(() => openNamespace(path), KernelError, path).code, code, path);
  }
});

Deno.test("openNamespace() does not wait for a writer of a pipe", () => {
  requireIsolation();
  const path = "/run/fifo";
  new Deno.Command("mkfifo", { args: [path] }).outputSync();
  assertEquals(isNamespace(path), false);
});

Deno.test("openNamespace() refuses a path with NUL", () => {
  requireIsolation();
  assertThrows(() => openNamespace("/run/a\0b"), RangeError, "must not contain NUL");
});

Deno.test("withNamespace() returns what the function returns, and is back", () => {
  withTestNamespace("returns", (path, namespace) => {
    const before = here();
    assertEquals(withNamespace(namespace, here), namespaceIdentity(path));
    assertEquals(here(), before);
  });
});

Deno.test("withNamespace() is back when the function throws", () => {
  withTestNamespace("throws", (_path, namespace) => {
    const before = here();
    const fail = (): string => {
      throw new SyntaxError("on purpose");
    };
    assertThrows(() => withNamespace(namespace, fail), SyntaxError, "on purpose");
    assertEquals(here(), before);
  });
});

Deno.test("withNamespace() nests", () => {
  withTestNamespace("outer", (outerPath, outer) => {
    withTestNamespace("inner", (innerPath, inner) => {
      const seen = withNamespace(outer, () => [here(), withNamespace(inner, here), here()]);
      const [o, i] = [namespaceIdentity(outerPath), namespaceIdentity(innerPath)];
      assertEquals(seen, [o, i, o]);
    });
  });
});

Deno.test("withNamespace() refuses what is no namespace and stays", () => {
  requireIsolation();
  const before = here();
  using wrong = openFile("/proc/self/ns/mnt");
  let called = false;
  const f = (): void => {
    called = true;
  };
  assertEquals(assertThrows(() => withNamespace(wrong, f), KernelError).code, "EINVAL");
  assertEquals([here(), called], [before, false]);
});

Deno.test("withNamespace() asserts that nothing asynchronous starts inside", () => {
  withTestNamespace("async", (_path, namespace) => {
    const before = here();
    const hidden = (): unknown => Promise.resolve();
    assertThrows(() => withNamespace<unknown>(namespace, hidden), AssertionError, "asynchronous");
    assertEquals(here(), before);
  });
});

Deno.test("withNamespace() leaves no descriptor open", () => {
  withTestNamespace("leak", (_path, namespace) => {
    withNamespace(namespace, here);
    const before = [...Deno.readDirSync("/proc/self/fd")].length;
    for (let i = 0; i < 20; i++) withNamespace(namespace, here);
    assertEquals([...Deno.readDirSync("/proc/self/fd")].length, before);
  });
});

Deno.test("withNamespace() leaves work that is under way where it was", async () => {
  requireIsolation();
  const before = here();
  const path = `${FOLDER}/busy`;
  createNamespace(path);
  using namespace = openNamespace(path);
  const reads = Array.from({ length: 50 }, async (_, i) => {
    await sleep(i % 5);
    return await Deno.readLink("/proc/thread-self/ns/net");
  });
  for (let i = 0; i < 200; i++) {
    withNamespace(namespace, here);
    if (i % 20 === 0) await sleep(0);
  }
  const seen = new Set((await Promise.all(reads)).map((it) => /\d+/.exec(it)?.[0]));
  assertEquals([...seen], [before.split(":")[1]]);
  deleteNamespace(path);
});

Deno.test("withNamespace() ends the process when there is no way back", () => {
  requireIsolation();
  const module = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  const program = `
    import { openCurrentNamespace, withNamespace } from ${module("./namespace.ts")};
    import { libc } from ${module("./symbols.ts")};
    const target = openCurrentNamespace();
    // The lowest free number is the one that withNamespace() keeps its way back under.
    const probe = openCurrentNamespace();
    const { fd } = probe;
    probe[Symbol.dispose]();
    withNamespace(target, () => { libc().close(fd); });
  `;
  const path = Deno.makeTempFileSync({ dir: "/run", suffix: ".ts" });
  Deno.writeTextFileSync(path, program);
  const args = ["run", "-A", "--no-check", path];
  const { code, stderr } = new Deno.Command(Deno.execPath(), { args }).outputSync();
  const said = new TextDecoder().decode(stderr);
  assertEquals(code, 71, said);
  assertEquals(said.includes("Cannot return to the own network namespace: EBADF"), true, said);
});
