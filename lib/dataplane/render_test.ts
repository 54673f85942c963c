import { assertGolden } from "../../tests/support/golden/golden.ts";
import { GOLDEN_FACTS, goldenRuleset } from "../../tests/support/golden/golden_facts.ts";
import { render } from "./render.ts";

for (const name of GOLDEN_FACTS) {
  Deno.test(`compile() makes policy/${name}.nft of policy/${name}.yaml`, async () => {
    await assertGolden(`policy/${name}.nft`, render(await goldenRuleset(name)));
  });
}
