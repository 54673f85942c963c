import { assertEquals } from "@std/assert";
import type { Facts } from "./facts.ts";
import { serveHealth } from "./health.ts";
import type { EnforcementLoop } from "./loop.ts";

type HealthOptions = Parameters<typeof serveHealth>[0];

/** What the agent answers to GET `path`. */
async function ask(path: string, changes: Partial<HealthOptions> = {}): Promise<[number, string]> {
  const server = serveHealth({
    host: "127.0.0.1",
    port: 0,
    facts: { states: {} } as Facts,
    loop: { counts: { applied: 1 } } as EnforcementLoop,
    nowMs: () => 0,
    ...changes,
  });
  try {
    const { port } = server.addr as Deno.NetAddr;
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  } finally {
    await server.shutdown();
  }
}

Deno.test("/readyz says ok, and in a line of its own which pods claim one interface", async () => {
  assertEquals(await ask("/readyz"), [200, "ok\n"]);
  const conflicts = new Map([["cali1", ["x/a", "x/b"]]]);
  const loop = { counts: { applied: 1 }, enforced: { conflicts } } as unknown as EnforcementLoop;
  assertEquals(await ask("/readyz", { loop }), [
    200,
    "ok\nInterface cali1 is claimed by x/a and x/b: open for one of them at most\n",
  ]);
});

Deno.test("/readyz says what is missing", async () => {
  const loop = { counts: { applied: 0 } } as EnforcementLoop;
  const [status, text] = await ask("/readyz", { loop });
  assertEquals([status, text], [503, "Nothing is in the kernel yet: see the agent's log\n"]);
});
