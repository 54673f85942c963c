/** What the compiled agent does while it does not know what to enforce: on real packets. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { decodeNode } from "../../../lib/agent_api/node.ts";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { agentEndpoints, askAgent, isAgentReady } from "../../support/node/agent_client.ts";
import { ask, assertBecomes } from "../../support/packet/becomes.ts";
import { runExecutable } from "../../support/program/executable.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { listTable, nft } from "../../support/kernel/nft_listing.ts";
import { NODE_NAME, TestNode } from "../../support/node/node.ts";
import { TestPod } from "../../support/node/pod.ts";
import { PodServers } from "../../support/packet/probe.ts";
import { programTest } from "../../support/program/program.ts";
import { until } from "../../support/until.ts";

const HEALTH = { CALYX_HEALTH_PORT: "9099" };
/** Nothing answers there. */
const AWAY = { ...HEALTH, K8S_API_ENDPOINT: "http://127.0.0.1:1" };
const PROGRAM = "/run/calyx/program";
const ONLY_FRIEND = {
  podSelector: { matchLabels: { app: "server" } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: "friend" } } }] }],
};

/** A server that `friend` may reach and `stranger` may not. */
class Scene implements AsyncDisposable {
  readonly node: TestNode;
  readonly server: TestPod;
  readonly friend: TestPod;
  readonly stranger: TestPod;
  readonly #servers = new PodServers();

  private constructor(node: TestNode, pods: readonly [TestPod, TestPod, TestPod]) {
    this.node = node;
    [this.server, this.friend, this.stranger] = pods;
    this.#servers.tcp(this.server.namespace, 80);
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Scene> {
    const node = await TestNode.start({ agent: false });
    await node.startAgent(env);
    const add = (name: string): Promise<TestPod> => node.addPod(name);
    const scene = new Scene(node, [
      await add("server"),
      await add("friend"),
      await add("stranger"),
    ]);
    await node.createPolicy("p", ONLY_FRIEND);
    await scene.becomes("open", "timeout");
    return scene;
  }

  /** Waits until the two clients have these answers. */
  async becomes(friend: "open" | "timeout", stranger: "open" | "timeout"): Promise<void> {
    const [address = ""] = this.server.addresses;
    await assertBecomes(stranger, () => ask(this.stranger, address));
    await assertBecomes(friend, () => ask(this.friend, address));
    if (stranger === "timeout") assertEquals(await ask(this.stranger, address), stranger);
  }

  async kill(): Promise<void> {
    this.node.agent.kill("SIGKILL");
    await this.node.agent.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#servers[Symbol.dispose]();
    await this.node[Symbol.asyncDispose]();
  }
}

async function readyz(): Promise<string> {
  return await (await fetch("http://127.0.0.1:9099/readyz")).text();
}

/** Waits until /readyz has this in it. */
async function assertTold(node: TestNode, text: string | RegExp): Promise<void> {
  const isTold = async (): Promise<boolean> => (await readyz()).search(text) >= 0;
  await node.agent.until(`${text} in /readyz`, isTold);
}

programTest("calyx-agent under a name that no Node has changes nothing and says so", [
  "nft",
], async () => {
  requireIsolation();
  await using scene = await Scene.start();
  const { node } = scene;
  const before = listTable();
  await scene.kill();
  await node.startAgent({ ...HEALTH, CALYX_NODE_NAME: "absent" }, { waits: false });
  await assertTold(node, /^No Node is named absent; there are: node1; set CALYX_NODE_NAME/);
  await node.deletePolicy("p");
  assertEquals(listTable(), before);
  await scene.becomes("open", "timeout");
  const warning = /"level":"warn".*No Node is named absent; there are: node1/;
  await node.agent.until("it is logged", () => warning.test(node.agent.log));
  using pod = new TestPod(node.namespace, "late");
  const { code, answer } = await pod.call("ADD");
  assertEquals([code, answer.code], [1, 11]);
  assertMatch(answer.msg ?? "", /No Node is named absent; there are: node1/);
  await pod.call("DEL");

  // A cloud's other name for the machine.
  await node.objects.patch(`/api/v1/nodes/${NODE_NAME}/status`, {
    status: { addresses: [{ type: "InternalDNS", address: "absent" }] },
  });
  await node.agent.until("the Node is found", () => isAgentReady());
  await scene.becomes("open", "open");
  const { body } = await askAgent({ call: { route: "getNode" } });
  assertEquals(decodeNode(body).nodeName, NODE_NAME);

  // The Node goes, and what it said stays.
  await node.objects.delete(`/api/v1/nodes/${NODE_NAME}`);
  await assertTold(node, /^ok\nNode node1 is gone from the API server: what it said last stays/);
  await node.createPolicy("p", ONLY_FRIEND);
  await scene.becomes("open", "timeout");
});

for (const owner of ["on", "off"]) {
  const name = `calyx-agent without table and API server, --table-owner ${owner}`;
  programTest(`${name}: enforces what was known last`, ["nft"], async () => {
    requireIsolation();
    const env = { CALYX_TABLE_OWNER: owner };
    await using scene = await Scene.start(env);
    const { node, server } = scene;
    await until("the program is written", () => isWritten("default/p"));
    assertEquals(((await Deno.stat(PROGRAM)).mode ?? 0) & 0o777, 0o600);
    await scene.kill();
    nft("flush", "ruleset");
    await scene.becomes("open", "open");
    await node.startAgent({ ...AWAY, ...env }, { waits: false });
    await scene.becomes("open", "timeout");
    await assertTold(node, /Stale: enforcing what was known at 20\d\d-/);
    const response = await fetch("http://127.0.0.1:9099/readyz");
    assertEquals([response.status, (await response.text()).startsWith("Not every")], [503, true]);

    // Also where the table goes again.
    if (owner === "off") {
      nft("flush", "ruleset");
      await scene.becomes("open", "timeout");
    }
    // An interface whose pod was taken away is closed, whichever has its name then.
    await server.detach();
    const serverInterface = interfaceNameOf("default", "server");
    await until("the pod is closed", () => !listTable().includes(serverInterface));

    // What the API server says replaces it.
    await scene.kill();
    await node.deletePolicy("p");
    await node.startAgent({ ...HEALTH, ...env });
    await until("nothing is stale", async () => !(await readyz()).includes("Stale"));
    assert(!listTable().includes("policy-ingress/default/p"));
  });
}

const DAMAGES: readonly (readonly [string, () => void])[] = [
  ["no program", () => Deno.removeSync(PROGRAM)],
  ["a damaged program", () => {
    const text = Deno.readTextFileSync(PROGRAM);
    Deno.writeTextFileSync(PROGRAM, text.replaceAll("friend", "anyone"));
  }],
  ["a program of another version", () => {
    const text = Deno.readTextFileSync(PROGRAM);
    Deno.writeTextFileSync(PROGRAM, text.replace(/"version":"/, '"version":"9'));
  }],
];

programTest("calyx-agent without table, API server and program: closed but for the node", [
  "nft",
], async () => {
  requireIsolation();
  await using scene = await Scene.start();
  const { node, server } = scene;
  await node.setAddresses(["192.0.2.10"]);
  using host = openCurrentNamespace();
  const [address = ""] = server.addresses;
  await until("the program is written", () => isWritten("default/p"));
  const text = await Deno.readTextFile(PROGRAM);
  for (const [what, damage] of DAMAGES) {
    await scene.kill();
    await Deno.writeTextFile(PROGRAM, text, { mode: 0o600 });
    damage();
    nft("flush", "ruleset");
    await node.startAgent(AWAY, { waits: false });
    await scene.becomes("timeout", "timeout");
    await assertBecomes("open", () => ask({ namespace: host }, address));
    await assertTold(node, /Stale: nothing is known of what was enforced, so all pods/);
    const refused = node.agent.log.includes("remembered program refused");
    assertEquals(refused, what !== "no program", node.agent.log);
  }
  await scene.kill();
  await node.startAgent(HEALTH);
  await scene.becomes("open", "timeout");
});

programTest("calyx-agent stands in when the table goes while it waits for the API server", [
  "nft",
], async () => {
  requireIsolation();
  await using scene = await Scene.start({ CALYX_TABLE_OWNER: "off" });
  const { node } = scene;
  await until("the program is written", () => isWritten("default/p"));
  for (const damage of ["flush ruleset", "flush table inet calyx"]) {
    await scene.kill();
    await node.startAgent({ ...AWAY, CALYX_TABLE_OWNER: "off" }, { waits: false });
    await assertTold(node, /^Not every/);
    assertEquals((await readyz()).includes("Stale"), false);
    nft(...damage.split(" "));
    await scene.becomes("open", "timeout");
    await assertTold(node, /Stale: enforcing what was known at 20\d\d-/);
  }
});

programTest("calyx-agent stands in before it reads its credentials", ["nft"], async () => {
  requireIsolation();
  await using scene = await Scene.start();
  await until("the program is written", () => isWritten("default/p"));
  await scene.kill();
  nft("flush", "ruleset");
  const env = { KUBECONFIG: "/run/nowhere" };
  const { code, stderr } = await runExecutable("calyx-agent", { env });
  assertEquals(code, 1, stderr);
  await scene.becomes("open", "timeout");
});

programTest("what a DEL said survives a restart of the agent", ["nft"], async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const pod = await node.addPod("server");
  await pod.detach();
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    node.agent.kill(signal);
    await node.agent.status;
    await node.startAgent(HEALTH);
    assertEquals(listTable().includes(interfaceNameOf("default", "server")), false, signal);
  }
  // It is forgotten with the pod's object.
  assertEquals(countDetachments(), 1);
  await node.objects.delete(`${node.objects.pods}/server`);
  await until(
    "it is forgotten",
    () => countDetachments() === 0,
  );
});

Deno.test("an attachment goes with its interface, though the agent was not told", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const pod = await node.addPod("server");
  const { pid } = node.agent;
  Deno.kill(pid, "SIGSTOP");
  try {
    await pod.detach();
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
  await until(
    "the attachment is forgotten",
    async () => (await agentEndpoints()).length === 0,
    () => node.agent.log,
  );
});

function countDetachments(): number {
  return [...Deno.readDirSync("/run/calyx/detachments")].length;
}

function isWritten(word: string): boolean {
  try {
    return Deno.readTextFileSync(PROGRAM).includes(word);
  } catch {
    return false;
  }
}
