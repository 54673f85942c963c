import { FakeKernel } from "./fake_kernel.ts";
import { NFTABLES_SUITE, runCase } from "./nftables_suite.ts";

for (const it of NFTABLES_SUITE) {
  Deno.test(`FakeKernel: ${it.name}`, () => runCase(new FakeKernel(), it));
}
