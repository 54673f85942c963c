/** What a change costs the kernel to validate: counted, and for people timed on the kernel that runs. */

import { assert, assertEquals } from "@std/assert";
import { createLogger } from "../../../lib/base/log.ts";
import { Dataplane } from "../../../lib/dataplane/apply.ts";
import { compile } from "../../../lib/dataplane/compile/compile.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import {
  addPolicy,
  countVisits,
  crowdedNamespace,
  crowdedRuleset,
  inOneBaseChain,
} from "../../support/kernel/validation.ts";

/** Of `counts` at doubled sizes: how many times the next is as much. */
function growth(counts: readonly number[]): readonly number[] {
  return counts.slice(1).map((it, at) => it / (counts[at] ?? NaN));
}

Deno.test("validation walks as much as pods have policies, not ingress times egress", () => {
  const byPods = [10, 20, 40, 80].map((it) => countVisits(crowdedRuleset(it, 10)));
  const byPolicies = [10, 20, 40, 80].map((it) => countVisits(crowdedRuleset(10, it)));
  for (const ratio of [...growth(byPods), ...growth(byPolicies)]) {
    assert(ratio <= 2.001, `grows ${ratio} times where the size doubles: ${byPods}; ${byPolicies}`);
  }
  // The count can tell: in one base chain it is the product.
  const product = [10, 20].map((it) => countVisits(inOneBaseChain(crowdedRuleset(it, 10))));
  assert((growth(product)[0] ?? 0) > 3.5, `${product}`);
});

Deno.test("a crowded namespace takes one policy more, on this kernel", async () => {
  requireIsolation();
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, createLogger({ level: "error" }));
  const lines: string[] = [];
  for (const size of [5, 10, 20]) {
    const graph = crowdedNamespace(size, size);
    const loadMs = await timed(() => dataplane.apply(compile(graph.flush())));
    addPolicy(graph, size);
    const changeMs = await timed(() => dataplane.apply(compile(graph.flush())));
    addPolicy(graph, 0, 2_000);
    const rulesMs = await timed(() => dataplane.apply(compile(graph.flush())));
    assertEquals((await dataplane.apply(compile(graph.flush()))).requests, 0);
    lines.push(
      `${size} pods, ${size} policies: whole ${loadMs} ms, one policy more ${changeMs} ms, ` +
        `other rules ${rulesMs} ms`,
    );
  }
  await dataplane.remove();
  Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
});

async function timed(what: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await what();
  return Math.round(10 * (performance.now() - startMs)) / 10;
}
