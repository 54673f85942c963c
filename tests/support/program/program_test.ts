import { assertEquals } from "@std/assert";
import { PACKAGES } from "./program.ts";

/** Packages that it leaves to the machine, and why. */
const NOT_INSTALLED = {
  "iperf3": "a benchmark's",
  "systemd": "an init, which a machine has or has not",
};

Deno.test("a run of CI installs every package whose programs tests ask for", async () => {
  const script = await Deno.readTextFile(`${import.meta.dirname}/../../../.ci/run`);
  const lists = [...script.matchAll(/^readonly (?:PROGRAMS|EMULATOR)=\(([^)]*)\)/gm)];
  assertEquals(lists.length, 2);
  const installed = new Set(
    lists.flatMap(([, list = ""]) => list.trim().split(/\s+/)).map((it) => it.split(":")[1]),
  );
  const wanted = new Set<string>(Object.values(PACKAGES));
  for (const it of Object.keys(NOT_INSTALLED)) wanted.delete(it);
  assertEquals([...wanted].filter((it) => !installed.has(it)), []);
});
