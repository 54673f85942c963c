/** What holds of every base chain, whatever its rules are. */

import { assertEquals } from "@std/assert";
import { PolicyGraph } from "../../policy/graph.ts";
import type { Chain, Ruleset } from "../ruleset.ts";
import { compile } from "./compile.ts";

function rulesetOf(): Ruleset {
  return compile(new PolicyGraph({ nodeName: "node1" }).flush(), { judgesOutput: true });
}

function endOf({ rules }: Chain): string {
  const last = rules.at(-1)?.statements.at(-1);
  return last?.kind === "verdict" ? last.verdict.code : `${last?.kind}`;
}

Deno.test("compile(): what comes back to a hook that forwards without a verdict is dropped", () => {
  const chains = [...rulesetOf().chains.values()].filter((it) => it.hook !== undefined);
  assertEquals(
    chains.map((it) => [it.name, it.hook?.name, it.hook?.priority, endOf(it)]).sort(),
    [
      ["forward-egress", "forward", 0, "drop"],
      ["forward-ingress", "forward", 1, "drop"],
      ["input", "input", 0, "drop"], // of what comes from pods: what is the node's own passes
      ["output", "output", 0, "drop"], // of what goes to pods
      ["output-egress", "output", 1, "drop"],
      ["output-ingress", "output", 2, "drop"],
    ],
  );
});

Deno.test("compile(): no base chain says goto: what comes back from there meets its last rule", () => {
  const chains = [...rulesetOf().chains.values()].filter((it) => it.hook !== undefined);
  for (const { name, rules } of chains) {
    const codes = rules.map(({ statements }) => statements.at(-1))
      .map((it) => it?.kind === "verdict" ? it.verdict.code : it?.kind);
    assertEquals(codes.includes("goto"), false, name);
  }
});
