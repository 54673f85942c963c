import { assertGolden } from "../../tests/support/golden.ts";
import { sampleGraph } from "../../tests/support/sample_facts.ts";
import { compile } from "./compile/compile.ts";
import { render } from "./render.ts";

Deno.test("compile() makes the ruleset of the sample", async () => {
  await assertGolden("ruleset.nft", render(compile(sampleGraph().flush())));
});
