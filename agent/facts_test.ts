import { assertEquals } from "@std/assert";
import { startApiServer } from "../tests/support/kubernetes/api_server/server.ts";
import { until } from "../tests/support/until.ts";
import { createLogger } from "../lib/base/log.ts";
import { openApiServer } from "../lib/credentials/api_server.ts";
import { Facts } from "./facts.ts";

Deno.test("Facts says that something changed where the graph has something to do, and only there", async () => {
  await using server = startApiServer();
  await using api = await openApiServer({
    environment: { apiEndpoint: server.url },
    userAgent: "test",
  });
  const stop = new AbortController();
  const updates: string[] = [];
  let [changes, isInSync] = [0, false];
  const facts = new Facts({
    api,
    logger: createLogger({ write: () => {} }),
    update: (kind, key) => {
      updates.push(`${kind} ${key}`);
      return key.startsWith("here");
    },
    onChange: () => changes++,
    onInSync: () => isInSync = true,
  });
  const watching = facts.watch(stop.signal);
  try {
    await until("every kind is watched", () => isInSync && server.watches.size >= 4);
    changes = 0;
    const create = async (name: string): Promise<void> => {
      server.store.create("namespaces", { metadata: { name } });
      await until(`${name} comes`, () => updates.includes(`namespace ${name}`));
    };
    await create("elsewhere-1");
    await create("elsewhere-2");
    assertEquals(changes, 0);
    await create("here");
    assertEquals(changes, 1);
    server.store.patch("namespaces", "here", { metadata: { labels: { a: "1" } } });
    const changed = (): boolean => updates.filter((it) => it === "namespace here").length === 2;
    await until("the change comes", changed);
    assertEquals(changes, 2);
  } finally {
    stop.abort();
    await watching;
  }
});
