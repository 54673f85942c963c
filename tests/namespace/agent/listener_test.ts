/** The agent's listeners against those who may ask it, and do harm: the compiled agent goes on. */

import { assert, assertEquals } from "@std/assert";
import { usageOf } from "../../soak/agent_usage.ts";
import { askAgent } from "../../support/node/agent_client.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { until } from "../../support/until.ts";

const PORT = 9_099;
/** More than the usual soft limit of descriptors. */
const CONNECTIONS = 1_100;
/** What the flood may leave in memory for the garbage collector. */
const MEGABYTES_MORE_MAX = 100;
/** Watches begin again, and what looks at the kernel has sockets of its own. */
const DESCRIPTORS_MORE_MAX = 16;

async function healthz(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${PORT}/healthz`);
  return `${response.status} ${await response.text()}`;
}

Deno.test("calyx-agent outlives those who hold connections and send half of a request", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  const agent = await node.startAgent({ CALYX_HEALTH_PORT: String(PORT) });
  await agent.until("it answers", async () => await healthz() === "200 ok\n");
  const before = usageOf(agent.pid);
  const connections: Deno.Conn[] = [];
  const half = new TextEncoder().encode(`GET /healthz HTTP/1.1\r\nx: ${"x".repeat(60_000)}`);
  try {
    for (let index = 0; index < CONNECTIONS; index++) {
      const connection = await Deno.connect({ port: PORT });
      connections.push(connection);
      if (index % 2 === 0) connection.write(half).catch(() => {});
    }
    assertEquals(await healthz(), "200 ok\n");
    assertEquals((await askAgent({ call: { route: "getStatus" } })).status, 200);
    assert(usageOf(agent.pid).megabytes < before.megabytes + MEGABYTES_MORE_MAX);
  } finally {
    connections.forEach((it) => it.close());
  }
  await until(
    "its descriptors are closed",
    () => usageOf(agent.pid).descriptors <= before.descriptors + DESCRIPTORS_MORE_MAX,
  );
  assertEquals(await healthz(), "200 ok\n");
});

Deno.test("calyx-agent enforces without its health port, says who to ask, and takes it later", async () => {
  requireIsolation();
  const taken = Deno.listen({ hostname: "127.0.0.1", port: PORT });
  await using node = await TestNode.start({ agent: false });
  const agent = await node.startAgent({ CALYX_HEALTH_PORT: String(PORT) });
  try {
    const line =
      /cannot open the health port.*Cannot listen on 127\.0\.0\.1 port 9099: another process has it\. Set --health-host and/;
    await agent.until("it says so", () => line.test(agent.log));
  } finally {
    taken.close();
  }
  await agent.until("the port is taken", async () => await healthz() === "200 ok\n");
});
