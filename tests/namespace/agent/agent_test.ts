/** The compiled agent on a node of its own: what it enforces, keeps and survives, on real packets. */

import { assertEquals, assertMatch } from "@std/assert";
import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import { addAddress } from "../../../lib/netlink/address/address.ts";
import { addVeth, getLink, type Link, parseLink, setLink } from "../../../lib/netlink/link/link.ts";
import { addRoute } from "../../../lib/netlink/route/route.ts";
import { RT_SCOPE_LINK } from "../../../lib/netlink/address/message.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import {
  AGENT_SOCKET,
  agentEndpoints,
  agentStatus,
  isAgentReady,
} from "../../support/node/agent_client.ts";
import { assertBecomes } from "../../support/packet/becomes.ts";
import { DIST, runExecutable, runProgram } from "../../support/program/executable.ts";
import { hasOwnedTables } from "../../support/kernel/kernel_feature.ts";
import { TestNamespace } from "../../support/kernel/test_namespace.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { PodServers, probe, sendDatagram } from "../../support/packet/probe.ts";
import { isOnCommandLine } from "../../support/program/processes.ts";
import { findProgram, programTest } from "../../support/program/program.ts";
import { runScenario } from "../../support/node/scenario.ts";
import { sleep, until } from "../../support/until.ts";

/** A policy that lets only pods labelled `app: NAME` reach the pods labelled `app: server`. */
function onlyFrom(name: string): Readonly<Record<string, unknown>> {
  return {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: name } } }] }],
  };
}

function linkOf(socket: NetlinkSocket, name: string): Link {
  const [link] = socket.request(getLink({ name })).map(parseLink);
  if (link === undefined) throw new Error(`There is no link ${name}`);
  return link;
}

Deno.test("the scenario: three pods, one policy, every verdict right and nothing left", async () => {
  requireIsolation();
  const node = await TestNode.start({ agent: false });
  await using _ = node;
  const result = await runScenario({
    api: {
      fetch: (path, init) => fetch(node.api.url + path, init),
      environment: { K8S_API_ENDPOINT: node.api.url },
    },
  });
  assertEquals(result.right, true, JSON.stringify(result, null, 2));
});

for (const [before, after] of [["on", "on"], ["on", "off"], ["off", "on"]] as const) {
  const name = `calyx-agent killed with --table-owner ${before}, started with ${after}`;
  Deno.test(`${name}: verdicts stay`, () => restart(before, after));
}

/** Kills the agent and starts it again with another setting, under packets. */
async function restart(before: "on" | "off", after: "on" | "off"): Promise<void> {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  await node.startAgent({ CALYX_TABLE_OWNER: before });
  const [server, friend, stranger] = [
    await node.addPod("server"),
    await node.addPod("friend"),
    await node.addPod("stranger"),
  ];
  await node.createPolicy("p", onlyFrom("friend"));
  using servers = new PodServers();
  const received = new Set<number>();
  let refused = 0;
  servers.udp(server.namespace, 53);
  servers.onDatagram = (payload) => {
    const number = new DataView(payload.buffer).getUint32(0);
    if (number < 1_000_000) received.add(number);
    else refused++;
  };
  const address = server.addresses[0] ?? "";
  await until(
    "the policy is enforced",
    async () =>
      await probe({ namespace: stranger.namespace, protocol: "UDP", address, port: 53 }) ===
        "timeout",
  );
  refused = 0;

  // 200 flows per second from the one who may, 200 from the one who may not.
  let sent = 0;
  const timer = setInterval(() => {
    for (const [pod, offset] of [[friend, 0], [stranger, 1_000_000]] as const) {
      const payload = new Uint8Array(4);
      new DataView(payload.buffer).setUint32(0, sent + offset);
      sendDatagram({ namespace: pod.namespace, address, port: 53 }, payload);
    }
    sent++;
  }, 5);
  const sendMore = async (): Promise<void> => {
    const enough = sent + 50;
    await until("more is sent", () => sent >= enough);
  };
  try {
    await sendMore();
    node.agent.kill("SIGKILL");
    await node.agent.status;
    await sendMore();
    await node.startAgent({ CALYX_TABLE_OWNER: after });
    await sendMore();
  } finally {
    clearInterval(timer);
  }
  // To own a table that others could change, the agent makes it again: with the same verdicts at once.
  const isRemade = before === "off" && after === "on" && await hasOwnedTables();
  if (!isRemade) {
    await until(
      "every permitted packet comes",
      () => received.size === sent,
      () => `${received.size} of ${sent} came; the log:\n${node.agent.log}`,
    );
  }
  assertEquals(refused, 0, node.agent.log);
  assertEquals(node.agent.log.includes('"ruleset applied"'), isRemade, node.agent.log);
  const isOwned = after === "on" && await hasOwnedTables();
  assertEquals((await agentStatus()).isTableOwned, isOwned);
}

Deno.test("calyx-agent stopped by SIGTERM leaves the rules, and cleanup takes them away", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, stranger] = [await node.addPod("server"), await node.addPod("stranger")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  await node.createPolicy("p", onlyFrom("friend"));
  const ask = (): Promise<string> =>
    probe({
      namespace: stranger.namespace,
      protocol: "TCP",
      address: server.addresses[0] ?? "",
      port: 80,
    }, 200);
  await until("the policy is enforced", async () => await ask() === "timeout");
  node.agent.kill("SIGTERM");
  assertEquals((await node.agent.status).code, 0);
  assertEquals(await ask(), "timeout");
  const { code, stdout } = await runExecutable("calyx-agent", { args: ["cleanup"] });
  assertEquals([code, stdout], [0, "Removed table inet calyx\n"]);
  await assertBecomes("open", ask);
});

Deno.test("calyx-agent drops what comes from or goes to a cali interface of no pod", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const server = await node.addPod("server");
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const name = interfaceNameOf("default", "absent");
  using unknown = new TestNamespace();
  const { namespace, route: inner } = unknown;
  using host = openNetlinkSocket(NETLINK_ROUTE);
  host.request(addVeth({ name, up: true, peer: { name: "eth0", namespaceFd: namespace.fd } }));
  const link = linkOf(host, name);
  const peer = linkOf(inner, "eth0");
  inner.request(setLink({ index: peer.index, up: true }));
  inner.request(addAddress({ index: peer.index, prefix: Prefix.parse("10.244.9.200/24") }));
  host.request(addAddress({ index: link.index, prefix: Prefix.parse("10.244.9.254/32") }));
  const toUnknown = Prefix.parse("10.244.9.200/32");
  host.request(addRoute({ destination: toUnknown, index: link.index, scope: RT_SCOPE_LINK }));
  inner.request(addRoute({
    destination: Prefix.host(Address.parse(server.addresses[0] ?? "")),
    index: peer.index,
    gateway: Address.parse("10.244.9.254"),
    onlink: true,
  }));
  servers.tcp(namespace, 80);
  const ask = (from: typeof namespace, address: string): Promise<string> =>
    probe({ namespace: from, protocol: "TCP", address, port: 80 }, 300);
  assertEquals(await ask(namespace, server.addresses[0] ?? ""), "timeout");
  assertEquals(await ask(server.namespace, "10.244.9.200"), "timeout");
  // Without the agent too: the rules are the kernel's.
  node.agent.kill("SIGKILL");
  await node.agent.status;
  assertEquals(await ask(namespace, server.addresses[0] ?? ""), "timeout");
  // And the set-up is sound: without the rules it connects.
  await runExecutable("calyx-agent", { args: ["cleanup"] });
  await assertBecomes("open", () => ask(namespace, server.addresses[0] ?? ""));
});

Deno.test("calyx ADD returns only when the pod's policy is in the kernel", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  await node.createPolicy("deny", { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
  await node.addPod("server");
  const [endpoint] = await agentEndpoints();
  assertEquals([endpoint?.pod, endpoint?.isEnforced], ["server", true]);
});

Deno.test("calyx-agent refuses bodies that are too large, or do not say how large they are", async () => {
  requireIsolation();
  await using _node = await TestNode.start();
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: AGENT_SOCKET } });
  const { readable: chunked, writable } = new TransformStream<Uint8Array>();
  const writer = writable.getWriter();
  writer.write(new TextEncoder().encode("{}")).then(() => writer.close()).catch(() => {});
  const cases: readonly (readonly [string, BodyInit | undefined, RegExp])[] = [
    ["too large", " ".repeat(20_000), /larger than 16384 bytes/],
    ["without a length", chunked, /must say its content-length/],
    ["none", undefined, /JSON|content-length/],
    ["no JSON", "{", /JSON/],
    ["not an attachment", "[]", /Attachment refused: .*namespace/],
  ];
  for (const [what, body, reason] of cases) {
    const response = await fetch("http://agent/v1/endpoints/c1/eth0", {
      ...{ client, method: "PUT" },
      ...(body === undefined ? {} : { body }),
    });
    const { error } = await response.json();
    assertEquals(response.status, 400, what);
    assertMatch(error, reason, what);
  }
  assertEquals(await agentEndpoints(), []);
});

Deno.test("calyx-agent answers the request after one whose body it did not read", async () => {
  requireIsolation();
  await using _node = await TestNode.start();
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: AGENT_SOCKET } });
  const endpoint = "/v1/endpoints/c1/eth0";
  const unread: readonly (readonly [string, string, number, number])[] = [
    ["PUT", endpoint, 20_000, 400],
    ["PUT", endpoint, 2_000_000, 400],
    ["DELETE", endpoint, 20_000, 200],
    ["PUT", "/v1/nothing", 20_000, 404],
  ];
  for (let round = 0; round < 100; round++) {
    for (const [method, path, bytes, status] of unread) {
      const refused = await fetch(`http://agent${path}`, {
        ...{ client, method, body: new Uint8Array(bytes) },
      });
      await refused.body?.cancel();
      const next = await fetch("http://agent/v1/endpoints", { client });
      assertEquals(await next.json(), { endpoints: [] });
      assertEquals(
        [refused.status, next.status],
        [status, 200],
        `${method} ${path}, ${bytes} bytes`,
      );
    }
  }
});

Deno.test("calyx-agent follows through a relist, a lost watch and a server that is away", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, stranger] = [await node.addPod("server"), await node.addPod("stranger")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const ask = (): Promise<string> =>
    probe({
      namespace: stranger.namespace,
      protocol: "TCP",
      address: server.addresses[0] ?? "",
      port: 80,
    }, 150);
  const follows = async (): Promise<void> => {
    await node.createPolicy("p", onlyFrom("friend"));
    await until("the policy is enforced", async () => await ask() === "timeout");
    await node.deletePolicy("p");
    await until("the policy is gone", async () => await ask() === "open");
  };
  await follows();
  node.api.faults.closeWatches();
  await follows();
  node.api.faults.expire();
  node.api.faults.closeWatches();
  await follows();
  node.api.faults.refuse({ status: 503, watch: true, times: 8 });
  node.api.faults.closeWatches();
  await assertBecomes("open", ask);
  await follows();
});

/** What `look` shows when it has `word` in it and does not change any more. */
async function settled(look: () => Promise<string>, word: string): Promise<string> {
  let last = "";
  await until(`${word} is there and nothing changes`, async () => {
    const before = last;
    await sleep(300);
    last = await look();
    return last.includes(word) && last === before;
  });
  return last;
}

programTest("a table that others may change is repaired, long before the next full comparison", [
  "nft",
], async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  await node.startAgent({ CALYX_TABLE_OWNER: "off" });
  const [server, stranger] = [await node.addPod("server"), await node.addPod("stranger")];
  await node.createPolicy("p", onlyFrom("friend"));
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const address = server.addresses[0] ?? "";
  const ask = (): Promise<string> =>
    probe({ namespace: stranger.namespace, protocol: "TCP", address, port: 80 }, 100);
  await until("the policy is enforced", async () => await ask() === "timeout");
  const listing = async (): Promise<string> => {
    const { stdout } = await new Deno.Command("nft", { args: ["list", "ruleset"] }).output();
    return new TextDecoder().decode(stdout).replaceAll(/packets \d+ bytes \d+/g, "")
      .split("\n").map((line) => line.trim()).sort().join("\n");
  };
  const before = await settled(listing, "policy-ingress/default/p");
  const chain = "add chain inet calyx forward-egress";
  const damages = [["flush", "ruleset"], ["flush", "table", "inet", "calyx"], [
    `${chain} { policy drop; }`,
  ], [
    "delete chain inet calyx forward-egress; " +
    `${chain} { type filter hook forward priority 300; }`,
  ], [
    ...[
      "delete",
      "element",
      "inet",
      "calyx",
      "pods",
      "{ ",
      `"${interfaceNameOf("default", "server")}"`,
      "}",
    ],
  ]];
  for (const damage of damages) {
    const { success } = await new Deno.Command("nft", { args: damage }).output();
    assertEquals(success, true, damage.join(" "));
    await until(`the repair after nft ${damage.join(" ")}`, async () => await listing() === before);
    assertEquals(await ask(), "timeout");
    await sleep(600);
  }
});

programTest(
  "calyx-agent without CAP_NET_ADMIN says so, and does not run",
  ["setpriv"],
  async () => {
    requireIsolation();
    await using node = await TestNode.start({ agent: false });
    const drop = ["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
    const env = { K8S_API_ENDPOINT: node.api.url, CALYX_NODE_NAME: "node1" };
    for (const words of [[], ["cleanup"]]) {
      const { code, stderr } = await runProgram(findProgram("setpriv") ?? "", {
        args: [...drop, `${DIST}/calyx-agent`, ...words],
        env,
      });
      assertEquals(code, 1, stderr);
      assertMatch(stderr, /CAP_NET_ADMIN is missing: run calyx-agent as root, or add NET_ADMIN/);
    }
  },
);

/** The programs that `name` executes, itself included, until `use` is done with it. */
async function tracePrograms(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  use: (child: Deno.ChildProcess) => Promise<void>,
): Promise<string[]> {
  const file = await Deno.makeTempFile({ dir: "/run" });
  const child = new Deno.Command("strace", {
    args: [
      "-D",
      "-f",
      "-qq",
      "-e",
      "trace=execve,execveat",
      "-o",
      file,
      `${DIST}/${name}`,
      ...args,
    ],
    env: { ...env },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await use(child);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  await child.status;
  // The tracer is on its own, and writes until the end.
  await until("the tracer has ended", () => !isOnCommandLine(file));
  const calls = (await Deno.readTextFile(file)).split("\n").filter((it) => it.includes("execve"));
  return calls.map((line) => line.split('"')[1] ?? line);
}

programTest("the executables run no other program", ["strace"], async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  const env = { K8S_API_ENDPOINT: node.api.url, CALYX_NODE_NAME: "node1", CALYX_HEALTH_PORT: "0" };
  const nothing = (): Promise<void> => Promise.resolve();
  const agent = await tracePrograms("calyx-agent", [], env, async (child) => {
    await until("the agent is ready", () => isAgentReady().catch(() => false));
    await node.addPod("server");
    await node.createPolicy("p", onlyFrom("friend"));
    await sleep(200);
    child.kill("SIGTERM");
  });
  assertEquals(agent, [`${DIST}/calyx-agent`]);
  assertEquals(await tracePrograms("calyxctl", ["get", "wep", "-A"], env, nothing), [
    `${DIST}/calyxctl`,
  ]);
  const variables = {
    ...env,
    CNI_COMMAND: "DEL",
    CNI_CONTAINERID: "c",
    CNI_IFNAME: "eth0",
    CNI_PATH: "/",
  };
  assertEquals(await tracePrograms("calyx", [], variables, nothing), [`${DIST}/calyx`]);
});
