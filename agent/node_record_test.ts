import { assertEquals } from "@std/assert";
import { nodeFilePath } from "../lib/agent_api/node.ts";
import { createLogger } from "../lib/base/log.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import type { Node } from "../lib/model/node.ts";
import { nodeFileText } from "../tests/support/golden/agent_api_bytes.ts";
import { NodeRecord } from "./node_record.ts";

const NODE: Node = {
  name: "node-1",
  labels: {},
  podCidrs: ["10.244.7.0/24", "fd00:10:244:7::/64"].map(Prefix.parse),
  addresses: [],
};

Deno.test("NodeRecord writes what an agent of 0.1 wrote, for root alone, once the Node is known", () => {
  const folder = Deno.makeTempDirSync();
  const socketPath = `${folder}/agent.sock`;
  const log: string[] = [];
  const nodes = new Map<string, Node>();
  const record = new NodeRecord({
    socketPath,
    ownNode: { name: "node-1", missing: undefined },
    nodeOf: (name) => nodes.get(name),
    mtu: () => 1450,
    logger: createLogger({ write: (line) => log.push(JSON.parse(line).message) }),
  });
  record.write();
  assertEquals([record.current, record.missing], [undefined, "Node node-1 is not known yet"]);
  assertEquals([...Deno.readDirSync(folder)], []);
  nodes.set(NODE.name, NODE);
  record.write();
  const path = nodeFilePath(socketPath);
  assertEquals(Deno.readTextFileSync(path), nodeFileText());
  assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  assertEquals([...Deno.readDirSync(folder)].map((it) => it.name), ["node.json"]);
  Deno.removeSync(folder, { recursive: true });
  record.write();
  assertEquals(log, ["cannot write node.json"]);
});
