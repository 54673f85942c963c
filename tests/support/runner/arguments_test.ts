import { assertEquals } from "@std/assert";
import { parseArguments } from "./arguments.ts";

const CASES: Readonly<Record<string, { flags: readonly string[]; words: readonly string[] }>> = {
  "": { flags: [], words: [] },
  "agent cni_test": { flags: [], words: ["agent", "cni_test"] },
  "agent --fail-fast": { flags: ["--fail-fast"], words: ["agent"] },
  "--filter=open agent": { flags: ["--filter=open"], words: ["agent"] },
  "--filter open agent": { flags: ["--filter=open"], words: ["agent"] },
  "agent --filter open": { flags: ["--filter=open"], words: ["agent"] },
  "--filter --open-- agent": { flags: ["--filter=--open--"], words: ["agent"] },
  "--filter --filter agent": { flags: ["--filter=--filter"], words: ["agent"] },
  "--filter": { flags: ["--filter"], words: [] },
};

for (const [line, expected] of Object.entries(CASES)) {
  Deno.test(`parseArguments() of "${line}"`, () => {
    assertEquals(parseArguments(line.split(" ").filter((it) => it !== "")), expected);
  });
}
