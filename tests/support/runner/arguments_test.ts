import { assertEquals } from "@std/assert";
import { type Arguments, parseArguments } from "./arguments.ts";

const CASES: Readonly<Record<string, Partial<Arguments>>> = {
  "": { flags: [], words: [] },
  "agent cni_test": { flags: [], words: ["agent", "cni_test"] },
  "agent --fail-fast": { flags: ["--fail-fast"], words: ["agent"] },
  "--filter=open agent": { flags: ["--filter=open"], words: ["agent"] },
  "--filter open agent": { flags: ["--filter=open"], words: ["agent"] },
  "agent --filter open": { flags: ["--filter=open"], words: ["agent"] },
  "--filter --open-- agent": { flags: ["--filter=--open--"], words: ["agent"] },
  "--filter --filter agent": { flags: ["--filter=--filter"], words: ["agent"] },
  "--unit agent --fail-fast": { flags: ["--fail-fast"], words: ["agent"], speed: "unit" },
  "--kernel": { speed: "kernel" },
  "--filter --unit": { flags: ["--filter=--unit"] },
  "--filter": { flags: ["--filter"], words: [] },
};

for (const [line, expected] of Object.entries(CASES)) {
  Deno.test(`parseArguments() of "${line}"`, () => {
    const nothing: Arguments = { flags: [], words: [], speed: "all" };
    const words = line.split(" ").filter((it) => it !== "");
    assertEquals(parseArguments(words), { ...nothing, ...expected });
  });
}
