import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { createLogger } from "../lib/base/log.ts";
import { compile } from "../lib/dataplane/compile/compile.ts";
import { render } from "../lib/dataplane/render.ts";
import type { Desired } from "../lib/model/desired.ts";
import { PolicyGraph } from "../lib/policy/graph.ts";
import { cluster, factsOf, NODE } from "../tests/support/facts/random_cluster.ts";
import { sampleGraph } from "../tests/support/facts/sample_facts.ts";
import { until } from "../tests/support/until.ts";
import { ProgramFile, type ProgramFileOptions } from "./program_file.ts";
import { formatProgram, parseProgram } from "./program_text.ts";

/** A file in a folder that goes with it, and what was logged. */
class Folder implements Disposable {
  readonly #folder = Deno.makeTempDirSync();
  readonly path = `${this.#folder}/program`;
  readonly log: string[] = [];

  file(options: ProgramFileOptions = {}): ProgramFile {
    return new ProgramFile(this.path, createLogger({ write: (it) => this.log.push(it) }), {
      nowMs: () => 1_000,
      ...options,
    });
  }

  get mode(): number {
    return (Deno.statSync(this.path).mode ?? 0) & 0o777;
  }

  change(f: (text: string) => string): void {
    Deno.writeTextFileSync(this.path, f(Deno.readTextFileSync(this.path)));
  }

  names(): readonly string[] {
    return [...Deno.readDirSync(this.#folder)].map((it) => it.name);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

function textOf(desired: Desired | undefined): string {
  return desired === undefined ? "" : render(compile(desired));
}

Deno.test("parseProgram() gives what formatProgram() was given, whatever the facts", () => {
  fc.assert(fc.property(cluster, (world) => {
    const graph = new PolicyGraph({ nodeName: NODE });
    for (const fact of factsOf(world)) graph.update(...fact);
    const desired = graph.flush();
    const text = [...formatProgram(desired)].join("");
    assertEquals(textOf(parseProgram(text)), textOf(desired));
    assertEquals([...formatProgram(parseProgram(text))].join(""), text);
  }));
});

Deno.test("ProgramFile gives back what was taken last, and is root's alone", async () => {
  using folder = new Folder();
  const desired = sampleGraph().flush();
  const file = folder.file();
  assertEquals(file.load(), undefined);
  file.take(desired);
  await until("it is written", () => folder.names().includes("program"));
  await file.save();
  const remembered = folder.file().load();
  assertEquals([remembered?.savedAtMs, textOf(remembered?.desired)], [1_000, textOf(desired)]);
  assertEquals([folder.names(), folder.mode], [["program"], 0o600]);
  assertEquals(folder.log, []);
});

Deno.test("ProgramFile refuses what is damaged, too large, another version's or not root's alone", async () => {
  const damages: readonly (readonly [RegExp, (text: string) => string])[] = [
    [/is damaged/, (text) => text.replace("default", "defauit")],
    [/is damaged/, (text) => text.slice(0, -2)],
    [/is damaged/, () => ""],
    [/is damaged/, () => "null\n"],
    [/Another version/, (text) => text.replace('"format":1', '"format":2')],
    [/Another version/, (text) => text.replace('"version":"', '"version":"9.')],
  ];
  for (const [reason, damage] of damages) {
    using folder = new Folder();
    const file = folder.file();
    file.take(sampleGraph().flush());
    await file.save();
    folder.change(damage);
    assertEquals(folder.file().load(), undefined);
    assertMatch(folder.log.join(), reason);
  }
  using folder = new Folder();
  const file = folder.file();
  file.take(sampleGraph().flush());
  await file.save();
  assertEquals(folder.file({ bytesMax: 10 }).load(), undefined);
  await Deno.chmod(folder.path, 0o644);
  assertEquals(folder.file().load(), undefined);
  await Deno.rename(folder.path, `${folder.path}.elsewhere`);
  await Deno.symlink(`${folder.path}.elsewhere`, folder.path);
  assertEquals(folder.file().load(), undefined);
  assertEquals(folder.log.length, 3);
});

Deno.test("ProgramFile keeps no program that is older than one that is too large", async () => {
  using folder = new Folder();
  const file = folder.file();
  file.take(sampleGraph().flush());
  await file.save();
  const small = folder.file({ bytesMax: 10 });
  small.take(sampleGraph().flush());
  await small.save();
  assertEquals(folder.names(), []);
  assertMatch(folder.log.join(), /would be larger than 10 bytes/);
});

Deno.test("ProgramFile replaces what a kill left half written", async () => {
  using folder = new Folder();
  await Deno.writeTextFile(`${folder.path}.new`, "{");
  const file = folder.file();
  file.take(sampleGraph().flush());
  await file.save();
  assertEquals(folder.names(), ["program"]);
});
