/**
 * The dataplane against a real kernel, with nft(8) as the oracle: what we program over netlink must
 * list exactly as the text that `render()` makes does when nft itself loads it.
 */

import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { createLogger } from "../../../lib/base/log.ts";
import { Dataplane } from "../../../lib/dataplane/apply.ts";
import { compile } from "../../../lib/dataplane/compile/compile.ts";
import { render } from "../../../lib/dataplane/render.ts";
import type { Ruleset } from "../../../lib/dataplane/ruleset.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { GOLDEN_FACTS, goldenRuleset } from "../../support/golden/golden_facts.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { hasOwnedTables } from "../../support/kernel/kernel_feature.ts";
import { listTable, nft } from "../../support/kernel/nft_listing.ts";
import { programTest } from "../../support/program/program.ts";
import { addPod, sampleGraph } from "../../support/facts/sample_facts.ts";

const logger = createLogger({ level: "error" });

async function assertListsLikeNft(ruleset: Ruleset, dataplane: Dataplane): Promise<void> {
  await dataplane.apply(ruleset);
  const ours = listTable();
  await dataplane.remove();
  const file = await Deno.makeTempFile({ dir: "/run", suffix: ".nft" });
  try {
    await Deno.writeTextFile(file, render(ruleset));
    nft("-f", file);
    assertEquals(ours, listTable());
  } finally {
    nft("delete", "table", "inet", "calyx");
    await Deno.remove(file);
  }
}

for (const name of GOLDEN_FACTS) {
  programTest(
    `Dataplane programs of ${name}.yaml what nft programs of its text`,
    ["nft"],
    async () => {
      requireIsolation();
      using socket = openNetlinkSocket(NETLINK_NETFILTER);
      await assertListsLikeNft(await goldenRuleset(name), new Dataplane(socket, logger));
    },
  );
}

programTest("Dataplane.apply() by differences ends where a fresh start does", ["nft"], async () => {
  requireIsolation();
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, logger);
  const graph = sampleGraph();
  await dataplane.apply(compile(graph.flush()));
  const start = listTable();
  graph.update("policy", "shop/web", undefined);
  await dataplane.apply(compile(graph.flush()));
  addPod(graph, "shop", "web", 1, { app: "cart" });
  await dataplane.apply(compile(graph.flush()));
  addPod(graph, "shop", "web", 1, { app: "web" });
  for (let i = 0; i < 3000; i++) {
    addPod(graph, "shop", "cart", 10 + i % 3, { app: "cart" }, "node2");
  }
  addPod(graph, "shop", "cart", 4, { app: "cart" }, "node2");
  const sample = sampleGraph();
  const policy = compile(sample.flush());
  await dataplane.apply(policy);
  assertEquals(listTable(), start);
  await dataplane.remove();
});

programTest("Dataplane of a restarted agent touches nothing that is right", ["nft"], async () => {
  requireIsolation();
  const graph = sampleGraph();
  {
    using socket = openNetlinkSocket(NETLINK_NETFILTER);
    await new Dataplane(socket, logger).apply(compile(graph.flush()));
  }
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, logger);
  assertEquals((await dataplane.apply(compile(graph.flush()))).requests, 0);
  await dataplane.remove();
});

programTest(
  "Dataplane.apply() puts base chains back that others have changed",
  ["nft"],
  async () => {
    requireIsolation();
    using socket = openNetlinkSocket(NETLINK_NETFILTER);
    const dataplane = new Dataplane(socket, logger, { mayOwn: false });
    const ruleset = compile(sampleGraph().flush());
    await dataplane.apply(ruleset);
    const right = listTable();
    const bases = [...ruleset.chains.values()].filter((it) => it.hook !== undefined);
    for (const { name, hook } of bases) {
      const declare = (text: string): string => `add chain inet calyx ${name} { ${text} }`;
      const damages = [
        [declare("policy drop;")],
        ...[`${hook?.name} priority 300`, "prerouting priority -5"].map((place) => [
          `delete chain inet calyx ${name}`,
          declare(`type filter hook ${place}; policy accept;`),
        ]),
        [`delete chain inet calyx ${name}`, declare("type route hook output priority 0;")],
      ];
      for (const damage of damages) {
        nft(damage.join("; "));
        assertNotEquals(listTable(), right, damage.join());
        dataplane.invalidate();
        assertEquals((await dataplane.apply(ruleset)).chains, 1, damage.join());
        assertEquals(listTable(), right, damage.join());
      }
    }
    // A chain of that name that is none of the base chains: the table is made as a whole.
    const [base] = bases;
    nft(`delete chain inet calyx ${base?.name}; add chain inet calyx ${base?.name}`);
    dataplane.invalidate();
    await dataplane.apply(ruleset);
    assertEquals(listTable(), right);
    await dataplane.remove();
  },
);

programTest("Dataplane.apply() keeps others out of its table", ["nft"], async () => {
  requireIsolation();
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, logger);
  await dataplane.apply(compile(sampleGraph().flush()));
  assertEquals(dataplane.isOwned, await hasOwnedTables());
  if (dataplane.isOwned === true) {
    const before = listTable();
    nft("flush", "ruleset");
    assertEquals(listTable(), before);
    using other = openNetlinkSocket(NETLINK_NETFILTER);
    const error = await assertRejects(() =>
      new Dataplane(other, logger).apply(compile(sampleGraph().flush()))
    );
    assertEquals(
      error instanceof Error && error.message,
      "Cannot own table inet calyx: another calyx-agent owns it, or CAP_NET_ADMIN is missing",
    );
  }
  assertEquals(await dataplane.remove(), true);
  assertEquals(await dataplane.remove(), false);
});

Deno.test("Dataplane says once, not with each resync, that others can change its table", async () => {
  requireIsolation();
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  const lines: string[] = [];
  const dataplane = new Dataplane(socket, createLogger({ write: (line) => lines.push(line) }));
  const ruleset = compile(sampleGraph().flush());
  for (let i = 0; i < 3; i++) {
    await dataplane.apply(ruleset);
    dataplane.invalidate();
  }
  await dataplane.remove();
  const warnings = lines.filter((it) => it.includes("owner|persist needs Linux 6.9"));
  assertEquals(warnings.length, await hasOwnedTables() ? 0 : 1, lines.join("\n"));
});

programTest("Dataplane takes over a table whatever became of its owner", ["nft"], async () => {
  requireIsolation();
  const canOwn = await hasOwnedTables();
  const ruleset = compile(sampleGraph().flush());
  const apply = async (mayOwn: boolean): Promise<number> => {
    using socket = openNetlinkSocket(NETLINK_NETFILTER);
    const dataplane = new Dataplane(socket, logger, { mayOwn });
    const { requests } = await dataplane.apply(ruleset);
    assertEquals(dataplane.isOwned, mayOwn && canOwn);
    assertEquals(isChangedBy("add", "chain", "inet", "calyx", "foreign"), !dataplane.isOwned);
    dataplane.invalidate();
    assertEquals((await dataplane.apply(ruleset)).chains, dataplane.isOwned ? 0 : 1);
    assertEquals(listTable(), right);
    return requests;
  };
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  await new Dataplane(socket, logger, { mayOwn: false }).apply(ruleset);
  const right = listTable();
  assertEquals(await apply(false), 0);
  // Only from off to on must the table be made again, and once is enough.
  assertEquals(await apply(true) > 0, canOwn);
  assertEquals(await apply(true), 0);
  assertEquals(await apply(false), 0);
  assertEquals(await apply(true), 0);
  assertEquals(await new Dataplane(socket, logger).remove(), true);
});

/** Whether nft(8) may do this. */
function isChangedBy(...args: string[]): boolean {
  try {
    nft(...args);
    return true;
  } catch {
    return false;
  }
}

programTest(
  "Dataplane reads the elements that another process can have changed",
  ["nft"],
  async () => {
    requireIsolation();
    using socket = openNetlinkSocket(NETLINK_NETFILTER);
    let changes = 0;
    const read = new Set<string>();
    const dataplane = new Dataplane(socket, logger, {
      mayOwn: false,
      foreignChanges: () => changes,
      reader: {
        dumpParts(request) {
          if (request.name === "NFT_MSG_GETSETELEM") read.add(request.subject);
          return socket.dumpParts(request);
        },
      },
    });
    const graph = sampleGraph();
    await dataplane.apply(compile(graph.flush()));
    const right = listTable();
    const compare = async (): Promise<number> => {
      read.clear();
      return (await dataplane.apply(compile(graph.flush()))).requests;
    };
    dataplane.doubt();
    assertEquals([await compare(), read.size], [0, 0]);
    // What was deleted comes back, elements and all, though none are read.
    nft("flush", "chain", "inet", "calyx", "forward-ingress");
    dataplane.doubt();
    assertEquals([await compare() > 0, read.size], [true, 0]);
    assertEquals(listTable(), right);
    // Another's change makes every element worth a look.
    nft("flush", "set", "inet", "calyx", "pods");
    changes++;
    dataplane.doubt();
    assertEquals([await compare() > 0, read.size > 3], [true, true]);
    assertEquals(listTable(), right);
    // After too many changes for its log, one set is read, and not the others.
    for (let i = 0; i < 3000; i++) {
      addPod(graph, "shop", "cart", 10 + i % 3, { app: "cart" }, "node2");
    }
    addPod(graph, "shop", "cart", 4, { app: "cart" }, "node2");
    assertEquals(await compare(), 0);
    assertEquals(read.size > 0 && [...read].every((it) => / [an][46]-/.test(it)), true);
    assertEquals(listTable(), right);
    await dataplane.remove();
  },
);
