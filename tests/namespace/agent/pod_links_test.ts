/**
 * What an agent knows and mends of pods' interfaces by what these say of themselves, when it starts:
 * pods that started while no agent was there, under whatever name, and interfaces that an earlier
 * version of the plugin made.
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { libc } from "../../../lib/kernel/symbols.ts";
import { AGENT_SOCKET } from "../../support/node/agent_client.ts";
import { addressesOf, type CniAnswer, type Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeIp } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { NODE_NAME, TestNode } from "../../support/node/node.ts";
import { probeAll } from "../../support/packet/probe.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

/** Two names with one interface name. */
const VICTIM = ["shop", "db-2966798"] as const;
const STRANGER = ["evil", "m-433254"] as const;
const SUBNETS = ["10.244.9.0/24", "fd00:10:244:9::/64"];
/** Starts pods closed while there is no agent. */
const FIELDS: Fields = {
  agent_socket: AGENT_SOCKET,
  mtu: 1400,
  policy_setup_timeout_action: "closed",
};

/** Makes a pod object of this node, which runs at these addresses. */
async function createPod(
  { objects }: TestNode,
  { podNamespace, pod }: TestContainer,
  addresses: readonly string[] = [],
): Promise<void> {
  const pods = `/api/v1/namespaces/${podNamespace}/pods`;
  await objects.create(pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: pod, namespace: podNamespace },
    spec: { nodeName: NODE_NAME, containers: [{ name: "main", image: "none" }] },
  });
  if (addresses.length === 0) return;
  const podIPs = addresses.map((ip) => ({ ip }));
  await objects.patch(`${pods}/${pod}/status`, {
    status: { phase: "Running", podIP: addresses[0], podIPs },
  });
}

/** Whether each address answers within the time, by refusing. */
async function reaches(
  from: TestContainer,
  addresses: readonly string[],
  timeoutMs = 30_000,
): Promise<boolean> {
  const { namespace } = from;
  const probes = addresses.map((address) => ({
    namespace,
    protocol: "TCP" as const,
    address,
    port: 9,
  }));
  return (await probeAll(probes, timeoutMs)).every((it) => it === "ECONNREFUSED");
}

function neighboursOn(name: string): string[] {
  return nodeIp("neigh", "show", "dev", name).map((it) => `${it.dst} ${it.lladdr} ${it.state}`);
}

function flagsOf(name: string): unknown {
  return nodeIp("link", "show", name)[0]?.flags;
}

Deno.test("calyx-agent opens pods that started without it, under whatever name their interface has", async () => {
  requireIsolation();
  await using node = await TestNode.start({ namespace: VICTIM[0] });
  node.api.store.create("namespaces", { metadata: { name: STRANGER[0] } });
  using network = new CniNetwork(FIELDS, SUBNETS);
  using peer = new TestContainer("peer-1", "peer", undefined, VICTIM[0]);
  using victim = new TestContainer("c1", VICTIM[1], undefined, VICTIM[0]);
  using stranger = new TestContainer("c2", STRANGER[1], undefined, STRANGER[0]);
  await createPod(node, peer);
  await network.add(peer);
  await node.agent[Symbol.asyncDispose]();
  const answers: CniAnswer[] = [];
  for (const it of [stranger, victim]) {
    const answer = await network.add(it);
    answers.push(answer);
    await createPod(node, it, addressesOf(answer));
    assertEquals(await reaches(peer, addressesOf(answer), 500), false, "closed without an agent");
  }
  const [one, other] = answers.map((it) => it.interfaces?.[0]?.name);
  assertEquals(one, victim.hostName);
  assertNotEquals(one, other);
  await node.startAgent();
  assert(await reaches(peer, answers.flatMap(addressesOf)));
  for (const it of [stranger, victim, peer]) await network.call("DEL", it);
});

Deno.test("calyx-agent forgets an attachment whose interface's name is another's now", async () => {
  requireIsolation();
  await using node = await TestNode.start({ namespace: VICTIM[0] });
  node.api.store.create("namespaces", { metadata: { name: STRANGER[0] } });
  using network = new CniNetwork(FIELDS, SUBNETS);
  using peer = new TestContainer("peer-1", "peer", undefined, VICTIM[0]);
  using victim = new TestContainer("c1", VICTIM[1], undefined, VICTIM[0]);
  using stranger = new TestContainer("c2", STRANGER[1], undefined, STRANGER[0]);
  for (const it of [peer, victim]) {
    await createPod(node, it);
    await network.add(it);
  }
  await node.agent[Symbol.asyncDispose]();
  assertEquals((await network.call("DEL", victim)).code, 0);
  const answer = await network.add(stranger);
  assertEquals(answer.interfaces?.[0]?.name, victim.hostName);
  await createPod(node, stranger, addressesOf(answer));
  await node.startAgent();
  assert(await reaches(peer, addressesOf(answer)));
  for (const it of [stranger, peer]) await network.call("DEL", it);
});

Deno.test("calyx-agent has the node learn no neighbours on interfaces that were made before", async () => {
  requireIsolation();
  await using node = await TestNode.start({ namespace: "shop" });
  using network = new CniNetwork(FIELDS, SUBNETS);
  using peer = new TestContainer("peer-1", "peer", undefined, "shop");
  using pod = new TestContainer("c1", "web", undefined, "shop");
  const answers: CniAnswer[] = [];
  for (const it of [peer, pod]) {
    await createPod(node, it);
    answers.push(await network.add(it));
  }
  const [before] = [neighboursOn(pod.hostName)];
  assertEquals(before.length, 2);
  await node.agent[Symbol.asyncDispose]();
  // As an earlier version made them; and another program's.
  for (const { hostName, containerId } of [peer, pod]) {
    const neighbours = nodeIp("neigh", "show", "dev", hostName);
    nodeIp("link", "set", hostName, "arp", "on", "alias", `calyx/net1/${containerId}/eth0`);
    for (const { dst, lladdr } of neighbours) {
      nodeIp("neigh", "replace", String(dst), "lladdr", String(lladdr), "dev", hostName);
    }
  }
  nodeIp("link", "add", "cali-other", "type", "veth", "peer", "name", "other");
  assertEquals(neighboursOn(pod.hostName), before);
  await node.startAgent();
  for (const { hostName } of [peer, pod]) {
    const isMended = (): boolean => String(flagsOf(hostName)).includes("NOARP");
    await node.agent.until(`${hostName} is mended`, isMended);
  }
  assert(!String(flagsOf("cali-other")).includes("NOARP"), "the interface of another program");
  assertEquals(neighboursOn(pod.hostName), before);
  assert(await reaches(peer, answers.flatMap(addressesOf)));
  const [, prevResult] = answers;
  const { code, stdout } = await network.call("CHECK", pod, { fields: { prevResult } });
  assertEquals(code, 0, stdout);
  for (const it of [peer, pod]) await network.call("DEL", it);
  nodeIp("link", "del", "cali-other");
});
