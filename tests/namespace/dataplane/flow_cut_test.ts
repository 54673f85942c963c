/**
 * Flows across a change of policy, on real packets: those that it denies end and do not come back, all
 * others lose nothing. `conntrack` and `nft` are oracle and neighbour.
 */

import { assertEquals } from "@std/assert";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { ask, assertBecomes } from "../../support/packet/becomes.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { PushServer, TestFlow } from "../../support/packet/flow.ts";
import { TestNode } from "../../support/node/node.ts";
import type { TestPod } from "../../support/node/pod.ts";
import { PodServers } from "../../support/packet/probe.ts";
import { programTest } from "../../support/program/program.ts";
import { sleep, until } from "../../support/until.ts";

const TCP_PORT = 80;
const UDP_PORT = 53;
const SERVICE_PORT = 8080;
/** A flow that sends every 10 ms and has heard nothing for so long has ended. */
const SILENCE_MS = 1_000;
/** And has sent so much since, which says that it is not the machine that is slow. */
const SILENCE_MESSAGES = 30;
/** What shows that a flow is there, and loses nothing. */
const UNDER_WAY_MESSAGES = 15;

const CLUSTER_POLICY_KIND = {
  group: "policy.networking.k8s.io",
  version: "v1alpha2",
  plural: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  namespaced: false,
  custom: true,
};

/** Only pods labelled `app: NAME` may reach the pods labelled `app: server`. */
function onlyFrom(name: string): Readonly<Record<string, unknown>> {
  return {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: name } } }] }],
  };
}

function run(name: string, ...args: string[]): string {
  const { code, stdout, stderr } = new Deno.Command(name, { args }).outputSync();
  if (code !== 0) throw new Error(`${name} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Source addresses of the flows that conntrack(8) lists as cut, sorted. */
function cutFlows(): string[] {
  return ["ipv4", "ipv6"].flatMap((family) =>
    run("conntrack", "-L", "-f", family, "-u", "FIXED_TIMEOUT").split("\n")
      .flatMap((line) => {
        const [protocol] = line.split(/\s+/);
        const source = /src=(\S+)/.exec(line)?.[1];
        return source === undefined ? [] : [`${protocol} ${source}`];
      })
  ).sort();
}

/** A table that translates a service of each family to `server`, as kube-proxy does. */
function serviceTable(server: TestPod): Disposable & { readonly services: readonly string[] } {
  const services = ["10.96.0.10", "fd00:10:96::10"];
  const rules = ["ip", "ip6"].flatMap((family, index) =>
    [["tcp", TCP_PORT], ["udp", UDP_PORT]].map(([protocol, port]) =>
      `${family} daddr ${services[index]} ${protocol} dport ${SERVICE_PORT} dnat ${family} to ` +
      (family === "ip" ? `${server.addresses[0]}:${port}` : `[${server.addresses[1]}]:${port}`)
    )
  );
  run(
    "nft",
    `add table inet services; add chain inet services prerouting { type nat hook prerouting ` +
      `priority dstnat; }; ${
        rules.map((it) => `add rule inet services prerouting ${it}`).join("; ")
      }`,
  );
  return { services, [Symbol.dispose]: () => run("nft", "delete table inet services") };
}

/** A pod, or the node. */
type End = Pick<TestPod, "name" | "namespace" | "addresses">;

/** Serves TCP and UDP in each pod. */
function serve(servers: PodServers, ...pods: readonly End[]): void {
  for (const pod of pods) {
    servers.tcp(pod.namespace, TCP_PORT);
    servers.udp(pod.namespace, UDP_PORT, 2);
  }
}

/** One flow per protocol and family from `from` to `to`. */
function openFlows(from: End, to: End): Promise<TestFlow[]> {
  const options = to.addresses.flatMap((address) =>
    (["TCP", "UDP"] as const).map((protocol) => ({
      name: `${from.name}>${to.name} ${protocol} ${address}`,
      namespace: from.namespace,
      protocol,
      address,
      port: protocol === "TCP" ? TCP_PORT : UDP_PORT,
    }))
  );
  return Promise.all(options.map(TestFlow.open));
}

/** Waits until every flow goes back and forth. */
async function underWay(...groups: readonly (readonly TestFlow[])[]): Promise<void> {
  for (const flow of groups.flat()) {
    await until(`${flow.name} is there`, () => flow.received > UNDER_WAY_MESSAGES);
  }
}

/** Waits until every flow has ended, for good as far as one can wait for that. */
async function assertCut(flows: readonly TestFlow[], node: TestNode): Promise<void> {
  const isOver = (it: TestFlow): boolean =>
    performance.now() - it.receivedAtMs > SILENCE_MS &&
    it.sent - it.sentAtReceipt > SILENCE_MESSAGES;
  await node.agent.until("every flow is cut", () => flows.every(isOver));
}

/** Asserts that no flow lost anything. */
async function assertWhole(flows: readonly TestFlow[]): Promise<void> {
  for (const flow of flows) {
    await until(`${flow.name} has sent enough to tell`, () => flow.sent > 50);
  }
  await Promise.all(flows.map((it) => it.finish()));
  for (const flow of flows) {
    assertEquals(flow.missing, 0, `${flow.name} lost some of ${flow.sent}`);
  }
}

function disposing(...groups: readonly (readonly TestFlow[])[]): Disposable {
  return {
    [Symbol.dispose]: () => groups.flat().forEach((it) => it[Symbol.dispose]()),
  };
}

programTest("a new policy cuts the flows that it denies, and no other", ["conntrack"], async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, other, friend, stranger] = [
    await node.addPod("server"),
    await node.addPod("other"),
    await node.addPod("friend"),
    await node.addPod("stranger"),
  ];
  using servers = new PodServers();
  serve(servers, server, other, stranger);
  const denied = await openFlows(stranger, server);
  const allowed = [
    ...await openFlows(friend, server),
    ...await openFlows(stranger, other),
    ...await openFlows(server, stranger),
  ];
  using _ = disposing(denied, allowed);
  await underWay(denied, allowed);
  await node.createPolicy("p", onlyFrom("friend"));
  await assertCut(denied, node);
  const expected = stranger.addresses.flatMap((it) => [`tcp ${it}`, `udp ${it}`]);
  assertEquals(cutFlows(), expected.sort());
  await assertWhole(allowed);
});

for (const family of [4, 6] as const) {
  Deno.test(`IPv${family}: an end that may call does not bring a cut flow back by sending`, async () => {
    requireIsolation();
    await using node = await TestNode.start();
    const [server, client] = [await node.addPod("server"), await node.addPod("client")];
    using pusher = new PushServer(server.namespace, TCP_PORT, UDP_PORT);
    const to = {
      namespace: client.namespace,
      address: server.addresses[family === 4 ? 0 : 1] ?? "",
    };
    const flows = await Promise.all([
      TestFlow.open({ ...to, name: "TCP", protocol: "TCP", port: TCP_PORT }),
      TestFlow.open({ ...to, name: "UDP", protocol: "UDP", port: UDP_PORT }),
    ]);
    using _ = disposing(flows);
    await underWay(flows);
    await node.createPolicy("p", onlyFrom("absent"));
    await assertCut(flows, node);
    const received = [pusher.received, ...flows.map((it) => it.received)];
    await sleep(300);
    assertEquals(
      [pusher.received, ...flows.map((it) => it.received)],
      received,
      "one of the two ends still hears the other",
    );
    // Both have kept at it, so they go on when they may.
    await node.deletePolicy("p");
    await node.agent.until(
      "they go on",
      () => flows.every((it, index) => it.received > (received[index + 1] ?? 0)),
    );
  });
}

programTest("a flow to a service is judged by its pod and that pod's port", ["nft"], async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, friend, stranger] = [
    await node.addPod("server"),
    await node.addPod("friend"),
    await node.addPod("stranger"),
  ];
  using servers = new PodServers();
  serve(servers, server);
  using table = serviceTable(server);
  const openService = (pod: TestPod): Promise<TestFlow[]> =>
    Promise.all(
      table.services.flatMap((address) =>
        (["TCP", "UDP"] as const).map((protocol) =>
          TestFlow.open({
            name: `${pod.name}>service ${protocol} ${address}`,
            namespace: pod.namespace,
            protocol,
            address,
            port: SERVICE_PORT,
          })
        )
      ),
    );
  const [allowed, denied] = [await openService(friend), await openService(stranger)];
  using _ = disposing(allowed, denied);
  await underWay(allowed, denied);
  await node.createPolicy("p", {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{
      from: [{ podSelector: { matchLabels: { app: "friend" } } }],
      ports: [{ port: TCP_PORT }, { port: UDP_PORT, protocol: "UDP" }],
    }],
  });
  await assertCut(denied, node);
  await assertWhole(allowed);
});

Deno.test("an egress policy cuts calls out; answers to calls in are no calls out", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  serve(servers, server, client);
  const [calledIn, callsOut] = [await openFlows(client, server), await openFlows(server, client)];
  using _ = disposing(calledIn, callsOut);
  await underWay(calledIn, callsOut);
  await node.createPolicy("p", {
    podSelector: { matchLabels: { app: "server" } },
    policyTypes: ["Egress"],
  });
  await assertCut(callsOut, node);
  await assertWhole(calledIn);
});

Deno.test("a ClusterNetworkPolicy that denies nodes cuts a pod's calls to its own, no others", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  node.api.store.register(CLUSTER_POLICY_KIND);
  await node.startAgent();
  const [pod, other, third] = [
    await node.addPod("pod"),
    await node.addPod("other"),
    await node.addPod("third"),
  ];
  using own = openCurrentNamespace();
  const host = { name: "node", namespace: own, addresses: ["192.0.2.1", "2001:db8::1"] };
  await node.setAddresses(host.addresses);
  using servers = new PodServers();
  serve(servers, host, pod, other, third);
  const denied = await openFlows(pod, host);
  const allowed = [...await openFlows(host, pod), ...await openFlows(pod, other)];
  using _ = disposing(denied, allowed);
  await underWay(denied, allowed);
  // A NetworkPolicy does not keep a pod from its node.
  await node.createPolicy("p", {
    podSelector: { matchLabels: { app: "pod" } },
    policyTypes: ["Egress"],
    egress: [{ to: [{ podSelector: { matchLabels: { app: "other" } } }] }],
  });
  await assertBecomes("timeout", () => ask(pod, third.addresses[0] ?? "", TCP_PORT));
  const before = denied.map((it) => it.received);
  await node.agent.until(
    "calls to the node go on",
    () => denied.every((it, index) => it.received > (before[index] ?? 0) + UNDER_WAY_MESSAGES),
  );
  node.api.store.create("clusternetworkpolicies", {
    metadata: { name: "no-nodes" },
    spec: {
      tier: "Admin",
      priority: 1,
      subject: { namespaces: {} },
      egress: [{ action: "Deny", to: [{ nodes: {} }] }],
    },
  });
  await assertCut(denied, node);
  await assertBecomes("timeout", () => ask(pod, "192.0.2.1", TCP_PORT));
  await assertWhole(allowed);
});

Deno.test("a pod that loses the label that let it in loses its flows", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, friend, steady] = [
    await node.addPod("server"),
    await node.addPod("friend", { access: "yes" }),
    await node.addPod("steady", { access: "yes" }),
  ];
  using servers = new PodServers();
  serve(servers, server);
  await node.createPolicy("p", {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { access: "yes" } } }] }],
  });
  await sleep(200);
  const [denied, allowed] = [await openFlows(friend, server), await openFlows(steady, server)];
  using _ = disposing(denied, allowed);
  await underWay(denied, allowed);
  await node.objects.patch(`${node.objects.pods}/friend`, {
    metadata: { labels: { access: "no" } },
  });
  await assertCut(denied, node);
  await assertWhole(allowed);
});

Deno.test("with CALYX_FLOW_CUT=off flows live until they end, and no new one begins", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  await node.startAgent({ CALYX_FLOW_CUT: "off" });
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  serve(servers, server);
  const flows = await openFlows(client, server);
  using _ = disposing(flows);
  await underWay(flows);
  await node.createPolicy("p", onlyFrom("absent"));
  await sleep(SILENCE_MS);
  await assertBecomes("timeout", () => ask(client, server.addresses[0] ?? "", TCP_PORT));
  await assertWhole(flows);
});

Deno.test("a restarted agent cuts no flow that is allowed, and what was denied meanwhile", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, friend, former] = [
    await node.addPod("server"),
    await node.addPod("friend", { access: "yes" }),
    await node.addPod("former", { access: "yes" }),
  ];
  using servers = new PodServers();
  serve(servers, server, friend);
  await node.createPolicy("p", {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { access: "yes" } } }] }],
  });
  await sleep(200);
  const [allowed, denied] = [
    [...await openFlows(friend, server), ...await openFlows(former, friend)],
    await openFlows(former, server),
  ];
  using _ = disposing(allowed, denied);
  await underWay(allowed, denied);
  node.agent.kill("SIGKILL");
  await node.agent.status;
  await node.objects.patch(`${node.objects.pods}/former`, {
    metadata: { labels: { access: "no" } },
  });
  await sleep(300);
  await node.startAgent();
  await assertCut(denied, node);
  await assertWhole(allowed);
});
