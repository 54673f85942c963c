/**
 * Pods whose interface names are the same hash, and names that something else has: with the agent
 * there, away, and none configured, no pod loses its interface and none is kept out. Sandboxes of one
 * pod: identity_test.ts.
 */

import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { HOST_LINK_ADDRESS } from "../../../cni/plan.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import {
  INTERFACE_NAMES_MAX,
  interfaceNameOf,
  interfaceNamesOf,
} from "../../../lib/model/interface_name.ts";
import { podDigestOf } from "../../../lib/model/link_alias.ts";
import { addressesOf, type CniAnswer, type Fields } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeIp, nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { validAttachments } from "../../support/plugin/cni_network.ts";
import { StubAgent } from "../../support/plugin/stub_agent.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { probeAll } from "../../support/packet/probe.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

/** A pod's namespace and name. */
type Name = readonly [namespace: string, name: string];

/** Two names, the second found by search: the SHA-1 of `<namespace>.<name>` begins with the same digits. */
const VICTIM: Name = ["shop", "db-2966798"];
const STRANGER: Name = ["evil", "m-433254"];

const ORDERS: readonly (readonly [Name, Name])[] = [[VICTIM, STRANGER], [STRANGER, VICTIM]];

const AGENTS = ["there", "away", "none"] as const;

/** A node of one case: its network, a peer to send packets from, and the agent, if there is one. */
class Scene implements AsyncDisposable {
  readonly agent: StubAgent | undefined;
  readonly network: CniNetwork;
  readonly peer = new TestContainer("peer");
  readonly #stack = new DisposableStack();

  private constructor(agent: typeof AGENTS[number]) {
    this.agent = agent === "there" ? new StubAgent() : undefined;
    const fields: Record<typeof AGENTS[number], Fields> = {
      there: { agent_socket: this.agent?.path, mtu: 1400 },
      away: { agent_socket: "/run/no.sock", mtu: 1400, policy_setup_timeout_action: "closed" },
      none: {},
    };
    this.network = this.#stack.use(new CniNetwork(fields[agent]));
    this.#stack.use(this.peer);
  }

  static async open(agent: typeof AGENTS[number]): Promise<Scene> {
    const scene = new Scene(agent);
    await scene.network.add(scene.peer);
    return scene;
  }

  sandbox([namespace, name]: Name, containerId: string): TestContainer {
    return this.#stack.use(new TestContainer(containerId, name, undefined, namespace));
  }

  /** ADD; the interface that it says, with its link's index. */
  async add(container: TestContainer): Promise<Attached> {
    const answer = await this.network.add(container);
    const name = answer.interfaces?.[0]?.name ?? "";
    return { container, answer, name, index: indexOf(name) };
  }

  /** Asserts that what ADD made is untouched: the very link, CHECK, and packets in both families. */
  async assertWhole({ container, answer, name, index }: Attached, what: string): Promise<void> {
    assertEquals(indexOf(name), index, what);
    const { code, stdout } = await this.network.call("CHECK", container, {
      fields: { prevResult: answer },
    });
    assertEquals(code, 0, `${what}: ${stdout}`);
    const probes = addressesOf(answer).map((address) => ({
      namespace: this.peer.namespace,
      protocol: "TCP" as const,
      address,
      port: 9,
    }));
    assert((await probeAll(probes, 10_000)).every((it) => it === "ECONNREFUSED"), what);
  }

  async delete(...containers: readonly TestContainer[]): Promise<void> {
    for (const it of containers) assertEquals((await this.network.call("DEL", it)).code, 0);
  }

  /** Asserts that all is gone but the peer, and then that too. */
  async assertEmpty(what: string): Promise<void> {
    await this.delete(this.peer);
    assertEquals([nodeState(), this.network.reserved()], [[], []], what);
    assertEquals([...this.agent?.known ?? []], [], what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stack.dispose();
    await this.agent?.[Symbol.asyncDispose]();
  }
}

interface Attached {
  readonly container: TestContainer;
  readonly answer: CniAnswer;
  readonly name: string;
  readonly index: number;
}

/** 0: there is no link of this name. */
function indexOf(name: string): number {
  return Number(nodeIp("link").find((it) => it.ifname === name)?.ifindex ?? 0);
}

Deno.test("calyx gives a pod whose name collides with another's the next name, and harms neither", async () => {
  requireIsolation();
  assertEquals(interfaceNameOf(...VICTIM), interfaceNameOf(...STRANGER));
  for (const agent of AGENTS) {
    for (const [one, other] of ORDERS) {
      const what = `agent ${agent}, ${one[0]} first`;
      await using scene = await Scene.open(agent);
      const first = await scene.add(scene.sandbox(one, "c1"));
      const second = await scene.add(scene.sandbox(other, "c2"));
      const [name, nextName] = interfaceNamesOf(...other);
      assertEquals([first.name, second.name], [name, nextName], what);
      await scene.assertWhole(first, what);
      await scene.assertWhole(second, what);
      if (scene.agent !== undefined) {
        assertEquals([...scene.agent.known].sort(), ["c1", "c2", "peer"]);
        assertEquals(scene.agent.interfaces.get("c2"), nextName, what);
      }
      // Each pod's next sandbox takes over its own interface, wherever that is.
      const again = await scene.add(scene.sandbox(other, "c3"));
      assertEquals([again.name, indexOf(nextName ?? "")], [nextName, again.index], what);
      assertNotEquals(again.index, second.index, what);
      await scene.assertWhole(first, `${what}, after another sandbox`);
      const replacement = await scene.add(scene.sandbox(one, "c4"));
      assertEquals(replacement.name, name, what);
      await scene.assertWhole(again, `${what}, after both`);
      await scene.delete(first.container, second.container);
      await scene.assertWhole(replacement, `${what}, after the old ones' DEL`);
      await scene.assertWhole(again, `${what}, after the old ones' DEL`);
      await scene.delete(replacement.container);
      await scene.assertWhole(again, `${what}, alone`);
      await scene.delete(again.container);
      await scene.assertEmpty(what);
    }
  }
});

Deno.test("calyx CHECK, DEL and GC know interfaces whose alias does not name the pod", async () => {
  requireIsolation();
  for (const agent of AGENTS) {
    await using scene = await Scene.open(agent);
    const kept = await scene.add(scene.sandbox(VICTIM, "c1"));
    const stale = await scene.add(scene.sandbox(["shop", "cart"], "c2"));
    const deleted = await scene.add(scene.sandbox(["shop", "web"], "c3"));
    for (const { name, container: { containerId } } of [kept, stale, deleted]) {
      // As a version wrote it that did not name the pod.
      nodeIp("link", "set", name, "alias", `calyx/net1/${containerId}/eth0`);
    }
    await scene.delete(deleted.container);
    assertEquals(indexOf(deleted.name), 0);
    const valid = validAttachments(scene.peer, kept.container);
    assertEquals((await scene.network.call("GC", scene.peer, { fields: valid })).code, 0);
    assertEquals(indexOf(stale.name), 0);
    await scene.assertWhole(kept, agent);
    await scene.delete(kept.container);
    await scene.assertEmpty(agent);
  }
});

Deno.test("calyx replaces an interface whose alias does not name the pod where the agent knows it", async () => {
  requireIsolation();
  const [name, nextName] = interfaceNamesOf(...VICTIM);
  const [namespace, pod] = VICTIM;
  const cases = [
    ["there", { namespace, pod }, name],
    ["there", { namespace: STRANGER[0], pod: STRANGER[1] }, nextName],
    ["there", {}, nextName],
    ["away", {}, nextName],
    ["none", {}, nextName],
  ] as const;
  for (const [agent, details, expected] of cases) {
    const what = `agent ${agent}: ${JSON.stringify(details)}`;
    await using scene = await Scene.open(agent);
    const old = await scene.add(scene.sandbox(VICTIM, "c1"));
    nodeIp("link", "set", old.name, "alias", "calyx/net1/c1/eth0");
    scene.agent?.details.set("c1", details);
    const current = await scene.add(scene.sandbox(VICTIM, "c2"));
    assertEquals(current.name, expected, what);
    await scene.assertWhole(current, what);
    if (expected === name) assertEquals([...scene.agent?.known ?? []], ["peer", "c2"]);
    else await scene.assertWhole(old, what);
    await scene.delete(old.container);
    await scene.assertWhole(current, `${what}, after the old one's DEL`);
    await scene.delete(current.container);
    await scene.assertEmpty(what);
  }
});

Deno.test("calyx takes the next name where something else has the first, and says so when all are taken", async () => {
  requireIsolation();
  const names = [...interfaceNamesOf(...VICTIM)];
  for (const agent of AGENTS) {
    await using scene = await Scene.open(agent);
    for (const [at, squatted] of names.entries()) {
      // Not ours: no alias, another's alias, or the link address of ours alone.
      const address = at === 1 ? ["address", HOST_LINK_ADDRESS] : [];
      nodeIp("link", "add", squatted, ...address, "type", "bridge");
      if (at % 2 === 0) nodeIp("link", "set", squatted, "alias", "calyx");
      // The last few turns alone would do; each is a call of its own.
      if (at !== 0 && at < INTERFACE_NAMES_MAX - 2) continue;
      const container = scene.sandbox(VICTIM, `c${at}`);
      const { code, answer } = await scene.network.call("ADD", container);
      const left = names.slice(0, at + 1).map(indexOf);
      assert(left.every((it) => it > 0), "nothing of what is not ours goes");
      if (at + 1 < names.length) {
        assertEquals([code, answer.interfaces?.[0]?.name], [0, names[at + 1]]);
        await scene.delete(container);
      } else {
        assertEquals([code, answer.code], [1, 101]);
        assertMatch(answer.msg ?? "", /^Every name .* is taken on the node: cali\w{11}, cali/);
        assertEquals([container.links, scene.network.reserved().length], [["lo"], 2]);
      }
    }
    for (const it of names) nodeIp("link", "del", it);
    await scene.assertEmpty(agent);
  }
});

Deno.test("calyx names the pod on its interface, and none where the container is no pod's", async () => {
  requireIsolation();
  await using scene = await Scene.open("none");
  const { name } = await scene.add(scene.sandbox(VICTIM, "c1"));
  const aliasAt = (it: string): unknown => nodeIp("link", "show", it)[0]?.ifalias;
  assertEquals(aliasAt(name), `calyx/net1/c1/eth0/${podDigestOf(...VICTIM)}`);
  using podless = new TestContainer("c2");
  const { answer } = await scene.network.call("ADD", podless, { env: { CNI_ARGS: "" } });
  assertEquals(aliasAt(answer.interfaces?.[0]?.name ?? ""), "calyx/net1/c2/eth0");
});
