/**
 * Policy before start: from the instant a pod has an interface no packet passes that its policies do
 * not allow, whether the agent is quick, late or gone. Counted with packets that are on their way
 * before ADD begins. And what the plugin does while neither agent nor API server answers.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { libc } from "../../../lib/kernel/symbols.ts";
import { AGENT_SOCKET } from "../../support/node/agent_client.ts";
import { addressesOf, type Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeLinks, nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { StubAgent } from "../../support/plugin/stub_agent.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { Traffic } from "../../support/packet/traffic.ts";
import { sleep } from "../../support/until.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const DENY_ALL = { podSelector: {}, policyTypes: ["Ingress", "Egress"] };
/** Where the agent is alive and a pod must start with its policy, however busy the machine is. */
const PATIENT = { fields: { policy_setup_timeout_seconds: 120 } };
/** Two pods' addresses: the first is the peer's, the second the pod's that is looked at. */
const SUBNETS = ["10.244.9.0/24", "fd00:10:244:9::/64"];
const [PEER, POD] = [["10.244.9.2", "fd00:10:244:9::2"], ["10.244.9.3", "fd00:10:244:9::3"]];

/** A network whose plugin asks the agent for the node and waits for the policy. */
function agentNetwork(fields: Fields = {}, subnets = ["usePodCidr", "usePodCidrIPv6"]): CniNetwork {
  return new CniNetwork({ agent_socket: AGENT_SOCKET, ...fields }, subnets);
}

/** Adds the peer, which no policy governs. */
async function addPeer(node: TestNode, network: CniNetwork, peer: TestContainer): Promise<void> {
  await node.createPod("peer", { role: "peer" });
  const addresses = addressesOf(await network.add(peer, PATIENT));
  assertEquals(addresses, PEER);
  await node.setPodAddresses("peer", addresses);
}

Deno.test("calyx lets no packet pass before a pod's policy is in force", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  using network = agentNetwork();
  using peer = new TestContainer("peer-1", "peer");
  using pod = new TestContainer("web-1", "web");
  await addPeer(node, network, peer);
  const selected = { matchLabels: { app: "web" } };
  await node.createPolicy("deny", { ...DENY_ALL, podSelector: selected });
  await node.createPod("web");
  await using traffic = new Traffic({ of: pod, at: POD }, { of: peer, at: PEER });
  await traffic.untilSent(1);
  const before = Math.min(...traffic.sent.values());
  assertEquals(addressesOf(await network.add(pod, PATIENT)), POD);
  const during = Math.min(...traffic.sent.values()) - before;
  await node.setPodAddresses("web", POD);
  await Promise.all([sleep(500), traffic.untilSent(100)]);
  assert(during > 0, "no packet was on its way during ADD");
  assertEquals(traffic.received, new Map(), "nothing passes while the policy denies all");
  await node.deletePolicy("deny");
  await traffic.untilOpen("the same packets pass without the policy");
  for (const it of [pod, peer]) await network.call("DEL", it);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx tells the agent what it added and deleted, and takes the node from it", async () => {
  requireIsolation();
  await using agent = new StubAgent();
  agent.node = { nodeName: "n1", podCIDRs: ["10.244.7.0/24", "fd00:10:244:7::/64"], mtu: 1430 };
  const fields = { agent_socket: agent.path };
  using network = new CniNetwork(fields, ["usePodCidr", "usePodCidrIPv6"]);
  using pod = new TestContainer("c1");
  const answer = await network.add(pod);
  const addresses = ["10.244.7.2", "fd00:10:244:7::2"];
  assertEquals([addressesOf(answer), answer.interfaces?.[1]?.mtu], [addresses, 1430]);
  assertEquals((await network.call("DEL", pod)).code, 0);
  const { hostName, path: netns } = pod;
  const endpoint = { namespace: "default", pod: "c1", interface: hostName, addresses, netns };
  assertEquals(agent.requests, [
    "GET /v1/node",
    `PUT /v1/endpoints/c1/eth0 ${JSON.stringify(endpoint)}`,
    "DELETE /v1/endpoints/c1/eth0",
  ]);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx ADD gives up on an agent that never answers, and takes all back", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  using network = agentNetwork({ mtu: 1400, policy_setup_timeout_seconds: 1 }, SUBNETS);
  using peer = new TestContainer("peer-1", "peer");
  using pod = new TestContainer("web-1", "web");
  await addPeer(node, network, peer);
  const state = [nodeState(), network.reserved()];
  await using traffic = new Traffic({ of: pod, at: POD }, { of: peer, at: PEER });
  node.agent.kill("SIGSTOP");
  await node.createPod("web"); // too late for the agent to have heard of it
  try {
    const { code, answer } = await network.call("ADD", pod);
    assertEquals([code, answer.code], [1, 11]);
    assertMatch(answer.msg ?? "", /^calyx-agent did not answer within 2000 ms$/);
    assertEquals([nodeState(), network.reserved()], state);
    assertEquals(pod.links, ["lo"]);
    assertEquals(traffic.total, 0);
    // Also where the agent has to say first what node this is.
    const fields = { mtu: 0, ipam: network.hostLocal("usePodCidr") };
    const unknown = await network.call("ADD", pod, { fields });
    assertEquals([unknown.code, unknown.answer.code], [1, 11]);
    assertMatch(unknown.answer.msg ?? "", /^calyx-agent did not answer within \d+ ms$/);
    assertEquals([nodeState(), network.reserved()], state);
  } finally {
    node.agent.kill("SIGCONT");
  }
  await network.call("DEL", peer);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx ADD starts a pod closed where that is chosen, and the agent opens it", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const fields = {
    mtu: 1400,
    policy_setup_timeout_seconds: 1,
    policy_setup_timeout_action: "closed",
  };
  using network = agentNetwork(fields, SUBNETS);
  using peer = new TestContainer("peer-1", "peer");
  using pod = new TestContainer("web-1", "web");
  await addPeer(node, network, peer);
  await using traffic = new Traffic({ of: pod, at: POD }, { of: peer, at: PEER });
  node.agent.kill("SIGSTOP");
  await node.createPod("web"); // too late for the agent to have heard of it
  try {
    const { code, stdout, stderr } = await network.call("ADD", pod);
    assertEquals(code, 0, stdout);
    assertMatch(stderr, /"message":"pod starts closed: its policy is not in the kernel yet"/);
    assertEquals(nodeLinks(), [peer.hostName, pod.hostName].sort());
    await Promise.all([sleep(500), traffic.untilSent(100)]);
    assertEquals(
      traffic.received,
      new Map(),
      "no policy forbids it, but the agent has not decided yet",
    );
  } finally {
    node.agent.kill("SIGCONT");
  }
  await node.setPodAddresses("web", POD);
  await traffic.untilOpen("open when the agent has looked");
  for (const it of [pod, peer]) await network.call("DEL", it);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx ADD starts a pod closed if neither agent nor API server answers", async () => {
  requireIsolation();
  using network = agentNetwork({ policy_setup_timeout_action: "closed" });
  using peer = new TestContainer("peer-1", "peer");
  using pod = new TestContainer("web-1", "web");
  await using node = await TestNode.start();
  for (const name of ["peer", "web"]) await node.createPod(name);
  const peerAddresses = addressesOf(await network.add(peer, PATIENT));
  await node.agent[Symbol.asyncDispose]();
  const { code, stdout, stderr, answer } = await network.call("ADD", pod);
  assertEquals(code, 0, stdout);
  assertMatch(stderr, /"message":"pod starts closed: its policy is not in the kernel yet"/);
  const addresses = addressesOf(answer);
  assertEquals(addresses.map((it) => it.includes(":")), [false, true]);
  assertEquals(new Set([...addresses, ...peerAddresses]).size, 4);
  assertEquals(nodeLinks(), [peer.hostName, pod.hostName].sort());
  using strict = agentNetwork();
  using refused = new TestContainer("late-1", "late");
  const late = await strict.call("ADD", refused);
  assertEquals([late.code, late.answer.code], [1, 11], "where pods start with their policy only");
  for (const it of [pod, peer]) await network.call("DEL", it);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx DEL, CHECK, GC and VERSION work without the agent; ADD answers with code 11, try again later", async () => {
  requireIsolation();
  using network = agentNetwork({ policy_setup_timeout_seconds: 1 });
  using kept = new TestContainer("kept-1", "kept");
  using stale = new TestContainer("stale-1", "stale");
  using late = new TestContainer("late-1", "late");
  let prevResult: unknown;
  let answer;
  {
    await using node = await TestNode.start();
    for (const name of ["kept", "stale", "late"]) await node.createPod(name);
    answer = await network.add(kept, PATIENT);
    prevResult = answer;
    await network.add(stale, PATIENT);
    await node.agent[Symbol.asyncDispose]();
  } // the API server goes too
  const valid = [{ containerID: "kept-1", ifname: "eth0" }];
  const fields = { prevResult, "cni.dev/valid-attachments": valid };
  const commands: readonly (readonly [string, number])[] = [
    ["VERSION", 0],
    ["CHECK", 0],
    ["GC", 0],
    ["CHECK", 0],
    ["STATUS", 50],
  ];
  for (const [command, expected] of commands) {
    const outcome = await network.call(command, kept, { fields });
    assertEquals([outcome.answer.code ?? 0, outcome.code], [expected, expected && 1], command);
  }
  assertEquals([nodeLinks(), network.reserved()], [[kept.hostName], addressesOf(answer)]);
  const refused = await network.call("ADD", late);
  assertEquals([refused.code, refused.answer.code], [1, 11]);
  assertMatch(refused.answer.msg ?? "", /^calyx-agent does not answer on .*is it running/);
  for (const it of [kept, stale, late]) {
    assertEquals((await network.call("DEL", it)).code, 0);
  }
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx ADD without an agent says to try again when the API server does not answer", async () => {
  requireIsolation();
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using network = new CniNetwork({ nodename: "node1" }, ["usePodCidr"]);
  using pod = new TestContainer("web-1", "web");
  const roots = [
    ["closed", "http://127.0.0.1:1", /cannot be reached|refused/i],
    ["silent", `http://127.0.0.1:${silent.addr.port}`, /within \d+ ms/],
  ] as const;
  await Promise.all(roots.map(async ([what, k8s_api_root, message]) => {
    const fields = { kubernetes: { k8s_api_root } };
    const env = { K8S_TOKEN: "t" };
    const { code, answer } = await network.call("ADD", pod, { fields, env });
    assertEquals([code, answer.code], [1, 11], what);
    assertMatch(answer.msg ?? "", message, what);
  }));
  assertEquals([nodeState(), network.reserved(), pod.links], [[], [], ["lo"]]);
});
