import { assertEquals, assertThrows } from "@std/assert";
import { libc } from "../lib/kernel/symbols.ts";
import { CannedServer } from "../tests/support/plugin/canned_server.ts";
import { AgentClient, AgentError } from "./agent_client.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const ID = { containerId: "c1", ifname: "eth0" };
const ENDPOINT = {
  namespace: "default",
  pod: "web-0",
  interface: "cali1",
  addresses: ["10.1.0.5"],
  netns: "/run/netns/a",
};

Deno.test("node() reads what the agent knows, and asks for nothing else", async () => {
  const body = JSON.stringify({
    nodeName: "n1",
    podCIDRs: ["10.1.0.0/24", "fd00::/64"],
    mtu: 1450,
  });
  await using server = await CannedServer.start({ body });
  const node = new AgentClient(server.path).node();
  assertEquals(
    [node.nodeName, node.podCidrs.map(String), node.mtu],
    ["n1", ["10.1.0.0/24", "fd00::/64"], 1450],
  );
  const seen = await server.seen();
  assertEquals(seen.map((it) => `${it.method} ${it.path}`), ["GET /v1/node"]);
});

Deno.test("putEndpoint() sends the endpoint and how long it waits", async () => {
  await using server = await CannedServer.start({ body: '{"enforced":true}' });
  new AgentClient(server.path).putEndpoint(ID, ENDPOINT, 10_000);
  const [seen] = await server.seen();
  assertEquals(
    [seen?.method, seen?.path, seen?.headers["x-timeout-ms"], JSON.parse(seen?.body ?? "")],
    ["PUT", "/v1/endpoints/c1/eth0", "10000", ENDPOINT],
  );
});

Deno.test("AgentClient tells apart what may pass from what will not", async () => {
  for (const [status, isRefusal] of [[400, true], [503, false], [504, false]] as const) {
    await using server = await CannedServer.start({ status, body: '{"error":"because"}' });
    const error = assertThrows(() => new AgentClient(server.path).node(), AgentError, "because");
    assertEquals([error.status, error.isRefusal], [status, isRefusal]);
  }
});

Deno.test("AgentClient reads a large answer whole, and not one that never ends", async () => {
  const endpoints = Array.from({ length: 3000 }, (_, index) => ({
    containerID: `c${index}`,
    ifname: "eth0",
    enforced: index === 2999,
  }));
  await using server = await CannedServer.start({ body: JSON.stringify({ endpoints }) });
  const client = new AgentClient(server.path);
  const enforced = (containerId: string): boolean | undefined =>
    client.isEnforced({ containerId, ifname: "eth0" });
  assertEquals([enforced("c2999"), enforced("c0"), enforced("x")], [true, false, undefined]);
  await using huge = await CannedServer.start({ body: " ".repeat((1 << 20) + 1) });
  assertThrows(() => new AgentClient(huge.path).node(), AgentError, "longer than");
});

Deno.test("AgentClient says that no agent is there, or that it talks nonsense", async () => {
  const folder = await Deno.makeTempDir();
  const stale = `${folder}/agent.sock`;
  Deno.listen({ transport: "unix", path: stale }).close();
  for (const path of ["/nonexistent/agent.sock", stale]) {
    const error = assertThrows(
      () => new AgentClient(path).node(),
      AgentError,
      "is it running on this node?",
    );
    assertEquals(error.isRefusal, false);
  }
  await Deno.remove(folder, { recursive: true });
  assertThrows(() => new AgentClient("/x".repeat(60)).node(), AgentError, "too long");
  await using server = await CannedServer.start({ body: "hello" });
  assertThrows(
    () => new AgentClient(server.path).node(),
    AgentError,
    "something else than a JSON object",
  );
});

Deno.test("AgentClient gives up when the agent does not answer, or not even accept the connection, in time", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/agent.sock`;
  using _silent = Deno.listen({ transport: "unix", path });
  const put = (): void => new AgentClient(path).putEndpoint(ID, ENDPOINT, -900); // + 1 s of grace
  assertThrows(put, AgentError, "did not answer within 100 ms");
  const waiting: Deno.UnixConn[] = [];
  const connect = (): Promise<Deno.UnixConn | undefined> =>
    Deno.connect({ transport: "unix", path }).catch(() => undefined); // EAGAIN: its queue is full
  for (let it = await connect(); it !== undefined; it = await connect()) waiting.push(it);
  assertThrows(put, AgentError, "did not answer within 100 ms");
  waiting.forEach((it) => it.close());
  await Deno.remove(folder, { recursive: true });
});
