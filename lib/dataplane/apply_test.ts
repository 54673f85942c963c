import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { addPod, sampleGraph } from "../../tests/support/facts/sample_facts.ts";
import { FakeKernel } from "../../tests/support/kernel/fake_kernel.ts";
import { createLogger } from "../base/log.ts";
import { NetlinkError } from "../netlink/error.ts";
import { dumpChains, parseChain } from "../netlink/nftables/chain.ts";
import { dumpElements, parseElements } from "../netlink/nftables/element_list.ts";
import { dumpRules, parseRule } from "../netlink/nftables/rule.ts";
import { dumpSets, parseSet } from "../netlink/nftables/set.ts";
import { getTable } from "../netlink/nftables/table.ts";
import { Dataplane } from "./apply.ts";
import { compile } from "./compile/compile.ts";
import { TABLE } from "./table.ts";

const logger = createLogger({ level: "error", write: () => {} });

/** All that the kernel has of our table, as sorted lines. */
function list(kernel: FakeKernel): string[] {
  const all = (parts: ReturnType<FakeKernel["dumpParts"]>) => [...parts].flat();
  const rules = all(kernel.dumpParts(dumpRules(TABLE))).map(parseRule);
  const chains = all(kernel.dumpParts(dumpChains(TABLE))).map(parseChain);
  const sets = all(kernel.dumpParts(dumpSets(TABLE))).map(parseSet);
  return [
    ...chains.map(({ name }) =>
      `chain ${name} ${rules.filter((it) => it.chain === name).map((it) => it.tag).join(" ")}`
    ),
    ...sets.map(({ name, tag }) => {
      const elements = all(kernel.dumpParts(dumpElements(TABLE, name))).map(parseElements)
        .flatMap((it) => it.elements);
      const texts = elements.map(({ key, data, flags }) =>
        `${key} ${data?.verdict?.chain} ${flags}`
      );
      return `set ${name} ${tag} ${texts.sort().join(", ")}`;
    }),
  ].sort();
}

Deno.test("Dataplane.apply() by differences ends where a fresh start does", async () => {
  const [kernel, other] = [new FakeKernel(), new FakeKernel()];
  const [dataplane, fresh] = [new Dataplane(kernel, logger), new Dataplane(other, logger)];
  const graph = sampleGraph();
  await dataplane.apply(compile(graph.flush()));
  const start = list(kernel);
  graph.update("policy", "shop/web", undefined);
  addPod(graph, "shop", "web", 1, { app: "cart" });
  const changed = compile(graph.flush());
  await dataplane.apply(changed);
  await fresh.apply(changed);
  assertEquals(list(kernel), list(other));
  await dataplane.apply(compile(sampleGraph().flush()));
  assertEquals(list(kernel), start);
  await dataplane.remove();
  assertThrows(() => kernel.request(getTable(TABLE)), NetlinkError, "ENOENT");
});

Deno.test("Dataplane of a restarted agent touches nothing that is right", async () => {
  const kernel = new FakeKernel();
  const ruleset = compile(sampleGraph().flush());
  await new Dataplane(kernel, logger).apply(ruleset);
  assertEquals((await new Dataplane(kernel, logger).apply(ruleset)).requests, 0);
});

Deno.test("Dataplane.apply() leaves whole rulesets, whichever transaction the kernel refuses", async () => {
  const before = compile(sampleGraph().flush());
  const graph = sampleGraph();
  graph.update("policy", "shop/web", undefined);
  addPod(graph, "shop", "web", 1, { app: "cart" });
  const after = compile(graph.flush());
  for (let nth = 1, isRefused = true; isRefused; nth++) {
    const kernel = new FakeKernel();
    const dataplane = new Dataplane(kernel, logger);
    await dataplane.apply(before);
    const first = kernel.batches;
    kernel.onBatch = () => {
      if (kernel.batches === first + nth) throw new NetlinkError("commit", 12, "ENOMEM");
    };
    isRefused = await dataplane.apply(after).then(() => false, () => true);
    kernel.onBatch = () => {};
    // What it did not get to is made up for by the next apply, and that one ends where it should.
    await dataplane.apply(after);
    const fresh = new FakeKernel();
    await new Dataplane(fresh, logger).apply(after);
    assertEquals(list(kernel), list(fresh), `transaction ${nth}`);
  }
});

Deno.test("Dataplane.apply() says what the kernel says when it refuses", async () => {
  const kernel = new FakeKernel();
  kernel.onBatch = () => {
    throw new NetlinkError("commit", 12, "ENOMEM");
  };
  const dataplane = new Dataplane(kernel, logger);
  await assertRejects(
    () => dataplane.apply(compile(sampleGraph().flush())),
    NetlinkError,
    "ENOMEM",
  );
});
