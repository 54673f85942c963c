import { assertEquals } from "@std/assert";
import { createLogger } from "../lib/base/log.ts";
import { Dataplane } from "../lib/dataplane/apply.ts";
import { TABLE } from "../lib/dataplane/table.ts";
import { NetlinkError } from "../lib/netlink/error.ts";
import { transaction } from "../lib/netlink/nftables/batch.ts";
import { dumpChains, parseChain } from "../lib/netlink/nftables/chain.ts";
import { deleteTable } from "../lib/netlink/nftables/table.ts";
import { sampleGraph } from "../tests/support/facts/sample_facts.ts";
import { FakeKernel } from "../tests/support/kernel/fake_kernel.ts";
import { until } from "../tests/support/until.ts";
import { EnforcementLoop } from "./loop.ts";

const OPTIONS = {};
const CHAIN = "policy-ingress/shop/web";

function chainNames(kernel: FakeKernel): readonly string[] {
  return [...kernel.dumpParts(dumpChains(TABLE))].flat().map((it) => parseChain(it).name);
}

Deno.test("EnforcementLoop brings facts into the kernel, also after it refused and lost the table", async () => {
  const kernel = new FakeKernel();
  const logger = createLogger({ level: "error", write: () => {} });
  const graph = sampleGraph();
  const dataplane = new Dataplane(kernel, logger);
  const loop = new EnforcementLoop({
    flush: () => graph.flush(),
    dataplane,
    compileOptions: () => OPTIONS,
    resyncIntervalMs: 0,
    logger,
    random: () => 0,
  });
  let refusals = 2;
  kernel.onBatch = () => {
    if (refusals-- > 0) throw new NetlinkError("commit", 12, "ENOMEM");
  };
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  await until("the policy is there", () => chainNames(kernel).includes(CHAIN));
  await until("it has counted that", () => loop.counts.applied === 1);
  assertEquals(loop.counts.failed, 2);

  graph.update("policy", "shop/web", undefined);
  loop.kick();
  await until("the policy is gone", () => !chainNames(kernel).includes(CHAIN));

  const before = chainNames(kernel);
  await kernel.batch(transaction([deleteTable(TABLE)]));
  assertEquals(chainNames(kernel), []);
  dataplane.invalidate();
  loop.kick();
  await until("everything is back", () => chainNames(kernel).length === before.length);
  assertEquals(new Set(chainNames(kernel)), new Set(before));
  stop.abort();
  await running;
});
