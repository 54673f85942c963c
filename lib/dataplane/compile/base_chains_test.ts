import { assertEquals } from "@std/assert";
import { baseChains } from "./base_chains.ts";

const OPTIONS = {
  interfacePrefix: "cali",
  checksSource: true,
  endpointToHostAction: "accept",
} as const;

Deno.test("baseChains(): what comes back to the forward hook without a verdict is dropped", () => {
  const forward = baseChains(OPTIONS).find((it) => it.hook === "forward");
  const verdicts = (forward?.rules ?? []).map(({ statements }) => statements.at(-1))
    .map((it) => it?.kind === "verdict" ? it.verdict.code : it?.kind);
  // A goto, or a map that says goto, in the hook's own chain would come back to the hook's policy.
  assertEquals(verdicts, ["drop", "jump", "drop"]);
});
