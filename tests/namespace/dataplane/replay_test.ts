/**
 * What the kernel holds is a function of the facts, not of the way they came: reversed, repeated, split
 * over many applies or squashed into one, with other facts and deletions between.
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { createLogger } from "../../../lib/base/log.ts";
import { Dataplane } from "../../../lib/dataplane/apply.ts";
import { compile } from "../../../lib/dataplane/compile/compile.ts";
import type { ChainCache } from "../../../lib/dataplane/compile/program_chain.ts";
import { Address } from "../../../lib/ip/address.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import type { Attachment } from "../../../lib/model/facts.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import type { Cluster } from "../../../lib/policy/evaluate.ts";
import { PolicyGraph } from "../../../lib/policy/graph.ts";
import { announceSeed } from "../../conformance/seed.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { listTable } from "../../support/kernel/nft_listing.ts";
import { programTest } from "../../support/program/program.ts";
import { cluster, type Fact, factsOf, NODE } from "../../support/facts/random_cluster.ts";

const RUNS = 100;

/** What the API server says, and what the plugin reported. */
function allFactsOf(world: Cluster): Fact[] {
  return [
    ...factsOf(world),
    ...attachmentsOf(world).map((it): Fact => ["attachment", `${it.containerId}/eth0`, it]),
  ];
}

/** Every second pod was reported by the plugin too, at an address that two of them claim. */
function attachmentsOf({ pods }: Cluster): Attachment[] {
  return pods.filter((_, index) => index % 2 === 0).map(({ namespace, name }, index) => ({
    containerId: `c-${name}`,
    ifname: "eth0",
    namespace,
    pod: name,
    uid: undefined,
    interfaceName: interfaceNameOf(namespace, name),
    addresses: [Address.parse(`10.0.1.${index % 2}`)],
  }));
}

/** A step of the way: a fact, and whether the kernel is told of it before the next. */
interface Step {
  readonly change: Fact;
  readonly isApplied: boolean;
}

/** From one world to another: its facts twice and in any order, what the other has not goes between. */
function wayTo(after: Cluster): fc.Arbitrary<readonly Step[]> {
  return cluster.chain((before) => {
    const wanted = new Set(allFactsOf(after).map(([kind, key]) => `${kind} ${key}`));
    const gone = allFactsOf(before)
      .filter(([kind, key]) => !wanted.has(`${kind} ${key}`))
      .map(([kind, key]): Fact => [kind, key, undefined]);
    const facts = allFactsOf(after);
    return fc.tuple(
      shuffled(allFactsOf(before)),
      shuffled([...gone, ...facts]),
      shuffled([...gone, ...facts]),
      fc.infiniteStream(fc.nat(9)),
    ).map(([first, second, last, chances]) =>
      [...first, ...second, ...last].map((change) => ({
        change,
        isApplied: chances.next().value === 0,
      }))
    );
  });
}

function shuffled<T>(items: readonly T[]): fc.Arbitrary<T[]> {
  return fc.shuffledSubarray([...items], { minLength: items.length });
}

programTest("the kernel holds the same, whichever way the facts came", ["nft"], async () => {
  requireIsolation();
  const seed = announceSeed("replay on the kernel");
  const logger = createLogger({ level: "error" });
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const worlds = cluster.chain((after) => wayTo(after).map((way) => ({ after, way })));
  await fc.assert(
    fc.asyncProperty(worlds, async ({ after, way }) => {
      const dataplane = new Dataplane(socket, logger);
      try {
        const graph = new PolicyGraph({ nodeName: NODE });
        const cache: ChainCache = new WeakMap();
        const apply = (): Promise<unknown> => dataplane.apply(compile(graph.flush(), { cache }));
        for (const { change, isApplied } of way) {
          graph.update(...change);
          if (isApplied) await apply();
        }
        await apply();
        const replayed = listTable();
        // A restarted agent knows only what is true now, and finds nothing to change.
        const restarted = new PolicyGraph({ nodeName: NODE });
        for (const fact of allFactsOf(after)) restarted.update(...fact);
        const fresh = compile(restarted.flush());
        const { requests } = await new Dataplane(socket, logger).apply(fresh);
        assertEquals(requests, 0);
        await dataplane.remove();
        await dataplane.apply(fresh);
        assertEquals(listTable(), replayed);
      } finally {
        await dataplane.remove();
      }
    }),
    { seed, numRuns: RUNS },
  );
});
