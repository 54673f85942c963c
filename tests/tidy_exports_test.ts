/** That what a source file exports is for another source file: what only tests use is the tests' own. */

import { assertEquals } from "@std/assert";
import { isSource, listFiles, read } from "./support/project_file.ts";

/** What is exported all the same, by file or `file name`. */
const KEPT: readonly (readonly [what: string, because: string])[] = [
  ["lib/netlink/", "a library of the protocol: it reads and writes more than we use"],
  ["lib/kernel/namespace.ts createNamespace", "makes what deleteNamespace takes away"],
  [
    "lib/dataplane/render.ts render",
    "the rows of statement/ carry nft text; this puts it together",
  ],
];

const DECLARATION =
  /^export (?:async )?(?:abstract )?(?:function\*?|const|class|interface|type) (\w+)/gm;
const IMPORT = /import\s+(?:type\s+)?\{([^}]*)\}\s+from\s+"(\.[^"]+)"/g;

const scripts = (await listFiles()).filter((it) => it.endsWith(".ts"));
const texts = new Map(
  await Promise.all(scripts.map(async (it) => [it, await read(it)] as const)),
);

/** Documents are made of the tables by tests/reference: it counts as a reader of them. */
const counts = (path: string): boolean => isSource(path) || path.startsWith("tests/reference/");

Deno.test("tidy: what only tests use is no export of a source file", () => {
  const used = new Set<string>();
  for (const [from, text] of texts) {
    for (const [, names = "", to = ""] of text.matchAll(IMPORT)) {
      const path = new URL(to, `file:///${from}`).pathname.slice(1);
      for (const name of names.split(",")) {
        const exported = name.trim().replace(/^type /, "").replace(/ as .*/, "");
        used.add(`${counts(from) ? "" : "test "}${path} ${exported}`);
      }
    }
    for (const [, to = ""] of text.matchAll(/import\("(\.[^"]+)"\)/g)) {
      used.add(new URL(to, `file:///${from}`).pathname.slice(1));
    }
  }
  const idle: string[] = [];
  for (const [path, text] of texts) {
    if (!isSource(path) || used.has(path)) continue;
    for (const [declaration, name = ""] of text.matchAll(DECLARATION)) {
      const it = `${path} ${name}`;
      if (used.has(it) || KEPT.some(([what]) => what === it || path.startsWith(what))) continue;
      const isUsedInside = [...text.matchAll(new RegExp(`\\b${name}\\b`, "g"))].length > 1;
      // A type is part of the signatures beside it; a function that tests ask may be a part of another.
      if (isUsedInside && (used.has(`test ${it}`) || / (interface|type) /.test(declaration))) {
        continue;
      }
      idle.push(it);
    }
  }
  assertEquals(idle, []);
});
