/**
 * Which pod an interface is: pods of one name after another, static pods, and pods of which the agent
 * was told nothing. Counted with packets that are on their way before ADD begins.
 */

import { assertEquals } from "@std/assert";
import { libc } from "../../../lib/kernel/symbols.ts";
import { AGENT_SOCKET } from "../../support/node/agent_client.ts";
import { addressesOf } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { Traffic } from "../../support/packet/traffic.ts";
import { sleep, until } from "../../support/until.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

/** What policy allows nothing, and what it says nothing of. */
const [CLOSED, OPEN] = [{ state: "closed" }, { state: "open" }];
/** Long enough for whatever the agent might do. */
const LOOK_MS = 700;
/** In each direction. */
const LOOK_PACKETS = 100;

/** A node where pods labelled {@link CLOSED} are closed, with a peer that no policy governs. */
class Setup implements AsyncDisposable {
  readonly node: TestNode;
  readonly network: CniNetwork;
  readonly #peer = new TestContainer("peer-1", "peer");
  /** What the network gives out: the peer's, then a pod's; a freed one rests. */
  readonly #addresses: readonly (readonly string[])[];

  private constructor(node: TestNode, network: number) {
    const [ipv4, ipv6] = [`10.244.${network}.`, `fd00:10:244:${network}::`];
    this.node = node;
    this.network = new CniNetwork(
      { agent_socket: AGENT_SOCKET, policy_setup_timeout_seconds: 120 },
      [`${ipv4}0/24`, `${ipv6}/64`],
    );
    this.#addresses = [2, 3, 4].map((it) => [`${ipv4}${it}`, `${ipv6}${it}`]);
  }

  /** @param network a number that no other test has: the kernel remembers the flows of those before */
  static async start(network: number): Promise<Setup> {
    const it = new Setup(await TestNode.start(), network);
    const policyTypes = ["Ingress", "Egress"];
    try {
      await it.node.createPolicy("deny", { podSelector: { matchLabels: CLOSED }, policyTypes });
      await it.node.createPod("peer");
      await it.attach(it.#peer, 0);
    } catch (error) {
      await it[Symbol.asyncDispose](); // or the next test meets this one's agent
      throw error;
    }
    return it;
  }

  /** Makes the object of pod `web`; its uid. */
  async createPod(labels: Readonly<Record<string, string>>): Promise<string> {
    await this.node.createPod("web", labels);
    const response = await fetch(`${this.node.api.url}${this.node.objects.pods}/web`);
    const { metadata } = await response.json();
    return metadata.uid;
  }

  async deletePod(name = "web"): Promise<void> {
    await this.node.objects.delete(`${this.node.objects.pods}/${name}`);
  }

  /** Attaches a pod that gets the addresses of this number, and says them in its status. */
  async attach(pod: TestContainer, number: number): Promise<void> {
    const addresses = addressesOf(await this.network.add(pod));
    assertEquals(addresses, this.#addresses[number]);
    await this.node.setPodAddresses(pod.pod, addresses);
  }

  /** Packets between a pod, which may still get the addresses of this number, and the peer. */
  traffic(pod: TestContainer, number: number): Traffic {
    const [peer = [], ...others] = this.#addresses;
    return new Traffic({ of: pod, at: others[number - 1] ?? [] }, { of: this.#peer, at: peer });
  }

  /** Detaches what is left; nothing may be. */
  async end(...pods: readonly TestContainer[]): Promise<void> {
    for (const it of [...pods, this.#peer]) await this.network.call("DEL", it);
    assertEquals([nodeState(), this.network.reserved()], [[], []]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _node = this.node;
    using _network = this.network;
    using _peer = this.#peer;
  }
}

/** Lets packets be on their way for a while, and enough of them to tell something. */
async function look(traffic: Traffic): Promise<void> {
  await Promise.all([sleep(LOOK_MS), traffic.untilSent(LOOK_PACKETS)]);
}

/** Waits until nothing comes through for a while. */
async function untilClosed(traffic: Traffic): Promise<void> {
  await until("nothing comes through", async () => {
    traffic.received.clear();
    await look(traffic);
    return traffic.received.size === 0;
  });
}

/** Waits for both, whatever becomes of the other, so that neither is left behind; the first failure. */
async function both(...work: readonly [Promise<unknown>, Promise<unknown>]): Promise<void> {
  for (const it of await Promise.allSettled(work)) {
    if (it.status === "rejected") throw it.reason;
  }
}

Deno.test("a new pod gets nothing of its predecessor of the same name", async () => {
  requireIsolation();
  await using setup = await Setup.start(21);
  const { node, network } = setup;
  using first = new TestContainer("web-1", "web", await setup.createPod(OPEN));
  await setup.attach(first, 1);
  {
    await using traffic = setup.traffic(first, 1);
    await traffic.untilOpen("the first pod is open");
  }
  // From here on the agent hears nothing of the API server.
  node.api.faults.silenceWatches();
  await network.call("DEL", first);
  await setup.deletePod();
  using second = new TestContainer("web-2", "web", await setup.createPod(CLOSED));
  await using traffic = setup.traffic(second, 2);
  await traffic.untilSent(1);
  let isAdded = false;
  const waits = async (): Promise<void> => {
    try {
      await until("ADD has made the interface", () => second.links.includes("eth0"));
      await look(traffic);
      assertEquals(isAdded, false, "ADD waits for the new object");
      assertEquals(traffic.received, new Map(), "nothing passes under the first pod's labels");
    } finally {
      node.api.faults.closeWatches(); // which ends what ADD waits for
    }
  };
  await both(waits(), setup.attach(second, 2).finally(() => isAdded = true));
  await look(traffic);
  assertEquals(traffic.received, new Map(), "nothing passes under its own");
  await node.deletePolicy("deny");
  await traffic.untilOpen("the same packets pass without the policy");
  await setup.end(second);
});

Deno.test("an old sandbox is closed when the object of its successor comes first", async () => {
  requireIsolation();
  await using setup = await Setup.start(22);
  using first = new TestContainer("web-1", "web", await setup.createPod(OPEN));
  await setup.attach(first, 1);
  let uid: string;
  {
    await using traffic = setup.traffic(first, 1);
    await traffic.untilOpen("the first pod is open");
    await setup.deletePod();
    uid = await setup.createPod(OPEN);
    // The old sandbox is no pod's.
    await untilClosed(traffic);
  }
  await setup.network.call("DEL", first);
  using second = new TestContainer("web-2", "web", uid);
  await setup.attach(second, 2);
  await using traffic = setup.traffic(second, 2);
  await traffic.untilOpen("the second pod is open");
  await setup.end(second);
});

Deno.test("a static pod is known by the uid that the kubelet gives it", async () => {
  requireIsolation();
  await using setup = await Setup.start(23);
  const { objects } = setup.node;
  const hash = "4e1d2b3c4e1d2b3c4e1d2b3c4e1d2b3c";
  const annotations = { "kubernetes.io/config.hash": hash, "kubernetes.io/config.mirror": hash };
  const createMirror = (): Promise<void> =>
    objects.create(objects.pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web-node1", namespace: "default", labels: OPEN, annotations },
      spec: { nodeName: "node1", containers: [{ name: "main", image: "none" }] },
    });
  await createMirror();
  using pod = new TestContainer("static-1", "web-node1", hash);
  await setup.attach(pod, 1);
  await using traffic = setup.traffic(pod, 1);
  await traffic.untilOpen("it is open");
  // The kubelet creates the mirror pod again; the sandbox stays.
  await setup.deletePod("web-node1");
  await createMirror();
  await traffic.untilOpen("it stays open");
  await setup.end(pod);
});

Deno.test("a pod that runs stays open when the agent has lost what it was told", async () => {
  requireIsolation();
  await using setup = await Setup.start(24);
  const { node } = setup;
  using pod = new TestContainer("web-1", "web", await setup.createPod(OPEN));
  await setup.attach(pod, 1);
  await using traffic = setup.traffic(pod, 1);
  await traffic.untilOpen("it is open");
  node.agent.kill("SIGTERM");
  await node.agent.status;
  await Deno.remove("/run/calyx/attachments", { recursive: true });
  await node.startAgent();
  await traffic.untilOpen("it stays open");
  await setup.end(pod);
});
