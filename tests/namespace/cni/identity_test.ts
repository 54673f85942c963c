/**
 * Whose interface is it? Two sandboxes of one pod name share the name of the node's interface, and a
 * runtime deletes the old one whenever it likes. What belongs to the living one is never touched. Pods
 * whose interfaces happen to have the same name: collision_test.ts.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { libc } from "../../../lib/kernel/symbols.ts";
import { addressesOf, type CniAnswer } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeIp, nodeLinks, nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { probeAll } from "../../support/packet/probe.ts";
import { PATIENCE_MS } from "../../support/until.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

const POD = "web-0";

/** Whether `target` answers `from`, at every address. The port is closed: a refusal counts as an answer. */
async function answers(from: TestContainer, target: CniAnswer): Promise<boolean> {
  const probes = addressesOf(target).map((address) => ({
    namespace: from.namespace,
    protocol: "TCP" as const,
    address,
    port: 9,
  }));
  return (await probeAll(probes, PATIENCE_MS)).every((it) => it === "ECONNREFUSED");
}

/** All orders of `items`. */
function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first, at) =>
    permutations(items.filter((_, index) => index !== at)).map((rest) => [first, ...rest])
  );
}

/** The node's routes for these addresses by this interface, as nodeState() has them. */
function stateOf({ hostName }: TestContainer, answer: CniAnswer): string[] {
  return [hostName, ...addressesOf(answer).map((it) => `${it} ${hostName}`)];
}

/** One sandbox after another: what was added and is not deleted, the newest last. */
class Sandboxes {
  readonly #network: CniNetwork;
  readonly #peer: TestContainer;
  readonly #peerState: readonly string[];
  readonly #results = new Map<TestContainer, CniAnswer>();
  #living: TestContainer | undefined;

  constructor(network: CniNetwork, peer: TestContainer) {
    this.#network = network;
    this.#peer = peer;
    this.#peerState = [...nodeState(), ...network.reserved()];
  }

  async do(command: string, container: TestContainer): Promise<void> {
    if (command === "ADD") {
      this.#results.set(container, await this.#network.add(container));
      this.#living = container;
    } else {
      const { code, stdout } = await this.#network.call("DEL", container);
      assertEquals([code, stdout], [0, ""]);
      this.#results.delete(container);
      if (this.#living === container) this.#living = undefined;
    }
  }

  /** Asserts that the living one is whole, and that nothing else is there. */
  async assertRight(what: string): Promise<void> {
    const living = this.#living && this.#results.get(this.#living);
    const expected = [
      ...this.#peerState,
      ...(this.#living && living ? stateOf(this.#living, living) : []),
      ...[...this.#results.values()].flatMap(addressesOf),
    ];
    assertEquals([...nodeState(), ...this.#network.reserved()].sort(), expected.sort(), what);
    for (const [container, prevResult] of this.#results) {
      const { code, stdout } = await this.#network.call("CHECK", container, {
        fields: { prevResult },
      });
      assertEquals(code, container === this.#living ? 0 : 1, `CHECK after ${what}: ${stdout}`);
    }
    if (living) assert(await answers(this.#peer, living), `no packet comes through after ${what}`);
  }
}

Deno.test("calyx keeps the living sandbox of a pod, in whatever order calls come", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using peer = new TestContainer("peer");
  await network.add(peer);
  const calls = ["ADD a", "ADD b", "DEL a", "DEL b"];
  // The other half of the orders is the same with the names exchanged.
  const orders = permutations(calls).filter((it) => it.indexOf("ADD a") < it.indexOf("ADD b"));
  assertEquals(orders.length, 12);
  for (const order of orders) {
    using a = new TestContainer("a", POD);
    using b = new TestContainer("b", POD);
    const sandboxes = new Sandboxes(network, peer);
    for (const [at, call] of order.entries()) {
      const [command = "", name] = call.split(" ");
      await sandboxes.do(command, name === "a" ? a : b);
      await sandboxes.assertRight(order.slice(0, at + 1).join(", "));
    }
    for (const container of [a, b]) await sandboxes.do("DEL", container);
    await sandboxes.assertRight(`${order.join(", ")}, and both deleted`);
  }
  await network.call("DEL", peer);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx refuses a second ADD of a container, and its connection goes on", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using peer = new TestContainer("peer");
  using container = new TestContainer("a", POD);
  using elsewhere = new TestContainer("a", POD);
  await network.add(peer);
  const prevResult = await network.add(container);
  const [before] = nodeIp("link", "show", container.hostName);
  const state = [nodeState(), network.reserved()];
  const again: readonly (readonly [string, TestContainer, string, RegExp])[] = [
    ["the same", container, "eth0", /eth0 exists in the container already/],
    ["in another namespace", elsewhere, "eth0", /allocated to a, duplicate allocation/],
    ["another interface", container, "net1", /The pod has an interface on the node already: cali/],
  ];
  for (const [what, sandbox, CNI_IFNAME, message] of again) {
    const { code, answer } = await network.call("ADD", sandbox, { env: { CNI_IFNAME } });
    assertEquals(code, 1, what);
    assertMatch(answer.msg ?? "", message, what);
    assertEquals([nodeState(), network.reserved()], state, what);
    const [after] = nodeIp("link", "show", container.hostName);
    assertEquals([after?.ifindex, after?.ifalias], [before?.ifindex, before?.ifalias], what);
    assertEquals((await network.call("CHECK", container, { fields: { prevResult } })).code, 0);
    assert(await answers(peer, prevResult), what);
  }
  assertEquals(container.links, ["lo", "eth0"]);
  for (const it of [container, peer]) await network.call("DEL", it);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

Deno.test("calyx adds a sandbox while the old one of its pod is deleted", async () => {
  requireIsolation();
  using network = new CniNetwork();
  using peer = new TestContainer("peer");
  await network.add(peer);
  for (let round = 0; round < 10; round++) {
    using old = new TestContainer(`old${round}`, POD);
    using current = new TestContainer(`new${round}`, POD);
    await network.add(old);
    const [deleted, prevResult] = await Promise.all([
      network.call("DEL", old),
      network.add(current),
    ]);
    assertEquals([deleted.code, deleted.stdout], [0, ""]);
    const { code, stdout } = await network.call("CHECK", current, { fields: { prevResult } });
    assertEquals(code, 0, stdout);
    assert(await answers(peer, prevResult));
    assertEquals((await network.call("DEL", current)).code, 0);
    assertEquals([nodeLinks(), network.reserved().length], [[peer.hostName], 2]);
  }
  await network.call("DEL", peer);
  assertEquals([nodeState(), network.reserved()], [[], []]);
});

/** What stands in the way of container "c1", whose address will be 10.244.0.2. */
interface Obstacle {
  readonly name: string;
  readonly make: () => void;
  /** What ADD says. */
  readonly message: RegExp;
  /** What must be there afterwards as it was. */
  readonly look: () => unknown;
  readonly remove: () => void;
}

const OBSTACLES: readonly Obstacle[] = [
  {
    name: "a route of another program",
    make: () => {
      nodeIp("link", "add", "other0", "type", "veth", "peer", "name", "other1");
      nodeIp("link", "set", "other0", "up");
      nodeIp("route", "add", "10.244.0.2/32", "dev", "other0");
    },
    message: /Route 10\.244\.0\.2\/32 exists already on the node, by other0$/,
    look: () => nodeIp("route", "show", "10.244.0.2/32"),
    remove: () => void nodeIp("link", "del", "other0"),
  },
  {
    name: "a route that leads nowhere",
    make: () => void nodeIp("route", "add", "blackhole", "10.244.0.2/32"),
    message: /Route 10\.244\.0\.2\/32 exists already on the node, by no interface/,
    look: () => nodeIp("route", "show", "10.244.0.2/32"),
    remove: () => void nodeIp("route", "del", "blackhole", "10.244.0.2/32"),
  },
  {
    name: "an address of the node itself",
    make: () => void nodeIp("addr", "add", "10.244.0.2/24", "dev", "lo"),
    message: /Address 10\.244\.0\.2 is the node's own, on lo/,
    look: () => nodeIp("route", "show", "table", "local", "10.244.0.2"),
    remove: () => void nodeIp("addr", "del", "10.244.0.2/24", "dev", "lo"),
  },
];

Deno.test("calyx ADD names what is in its way, and leaves it there", async () => {
  requireIsolation();
  for (const { name, make, message, look, remove } of OBSTACLES) {
    using network = new CniNetwork({}, ["10.244.0.0/24"]);
    using container = new TestContainer("c1");
    make();
    const before = [nodeState(), look()];
    const { code, answer, stdout } = await network.call("ADD", container);
    assertEquals([code, answer.code], [1, 101], `${name}: ${stdout}`);
    assertMatch(answer.msg ?? "", message, name);
    assertEquals([nodeState(), look()], before, name);
    assertEquals([container.links, network.reserved()], [["lo"], []], name);
    remove();
    await network.add(container);
    assertEquals((await network.call("DEL", container)).code, 0);
    assertEquals([nodeState(), network.reserved()], [[], []], name);
  }
});

Deno.test("calyx ADD names the container of ours that has the address still", async () => {
  requireIsolation();
  using network = new CniNetwork({}, ["10.244.0.0/24"]);
  using lost = new TestContainer("lost");
  using container = new TestContainer("c1");
  using peer = new TestContainer("peer");
  const result = await network.add(lost);
  await network.add(peer);
  // Its reservation is lost, and so the address is given out again; the pod lives and keeps it.
  await Deno.remove(`${network.dataDir}/net1`, { recursive: true });
  const { code, answer } = await network.call("ADD", container);
  assertEquals([code, answer.code, network.reserved()], [1, 101, []]);
  assertMatch(
    answer.msg ?? "",
    /Route 10\.244\.0\.2\/32 exists already on the node, by cali[0-9a-f]{11} of container lost/,
  );
  assert(await answers(peer, result));
  for (const it of [lost, peer, container]) {
    assertEquals((await network.call("DEL", it)).code, 0);
  }
  assertEquals([nodeState(), network.reserved()], [[], []]);
});
