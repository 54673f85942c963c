import { assertEquals, assertRejects } from "@std/assert";
import { AgentClient, AgentError } from "./agent_client.ts";

const ID = { containerId: "c1", ifname: "eth0" };
const ENDPOINT = {
  namespace: "default",
  pod: "web-0",
  interface: "cali1",
  addresses: ["10.1.0.5"],
  netns: "/run/netns/a",
};

/** Serves `answer` on a socket while `f` runs. */
async function withServer(
  answer: (request: Request) => Response | Promise<Response>,
  f: (client: AgentClient) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/agent.sock`;
  const server = Deno.serve({ transport: "unix", path, onListen: () => {} }, answer);
  try {
    await f(new AgentClient(path));
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("node() reads what the agent knows, and asks for nothing else", async () => {
  const seen: string[] = [];
  await withServer((request) => {
    seen.push(`${request.method} ${new URL(request.url).pathname}`);
    return Response.json({ nodeName: "n1", podCIDRs: ["10.1.0.0/24", "fd00::/64"], mtu: 1450 });
  }, async (client) => {
    const node = await client.node();
    assertEquals(
      [node.nodeName, node.podCidrs.map(String), node.mtu],
      ["n1", ["10.1.0.0/24", "fd00::/64"], 1450],
    );
  });
  assertEquals(seen, ["GET /v1/node"]);
});

Deno.test("putEndpoint() sends the endpoint and how long it waits", async () => {
  const seen: unknown[] = [];
  await withServer(async (request) => {
    const { pathname } = new URL(request.url);
    seen.push(request.method, pathname, request.headers.get("x-timeout-ms"), await request.json());
    return Response.json({ enforced: true });
  }, (client) => client.putEndpoint(ID, ENDPOINT, 10_000));
  assertEquals(seen, ["PUT", "/v1/endpoints/c1/eth0", "10000", ENDPOINT]);
});

Deno.test("AgentClient tells apart what may pass from what will not", async () => {
  for (const [status, isRefusal] of [[400, true], [503, false], [504, false]] as const) {
    await withServer(
      () => Response.json({ error: "because" }, { status }),
      async (client) => {
        const error = await assertRejects(() => client.node(), AgentError, "because");
        assertEquals([error.status, error.isRefusal], [status, isRefusal]);
      },
    );
  }
});

Deno.test("AgentClient reads a large answer whole", async () => {
  const endpoints = Array.from({ length: 3000 }, (_, index) => ({
    containerID: `c${index}`,
    ifname: "eth0",
    enforced: index === 2999,
  }));
  await withServer(() => Response.json({ endpoints }), async (client) => {
    const enforced = (containerId: string): Promise<boolean | undefined> =>
      client.isEnforced({ containerId, ifname: "eth0" });
    assertEquals(await enforced("c2999"), true);
    assertEquals(await enforced("c0"), false);
    assertEquals(await enforced("x"), undefined);
  });
});

Deno.test("AgentClient says that no agent is there, or that it talks nonsense", async () => {
  const error = await assertRejects(
    () => new AgentClient("/nonexistent/agent.sock").node(),
    AgentError,
    "is it running on this node?",
  );
  assertEquals(error.isRefusal, false);
  await withServer(() => new Response("hello"), async (client) => {
    await assertRejects(() => client.node(), AgentError, "something else than a JSON object");
  });
});

Deno.test("AgentClient gives up when nobody answers in time", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/agent.sock`;
  using _silent = Deno.listen({ transport: "unix", path });
  const client = new AgentClient(path);
  await assertRejects(
    () => client.putEndpoint(ID, ENDPOINT, -900), // beside the second of grace
    AgentError,
    "did not answer within 100 ms",
  );
  await Deno.remove(folder, { recursive: true });
});
