/** What policy must do beyond its own objects, on real packets: nodes, spoofing, denial, old and foreign ways. */

import { assertEquals } from "@std/assert";
import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import { openCurrentNamespace, withNamespace } from "../../../lib/kernel/namespace.ts";
import { addAddress } from "../../../lib/netlink/address/address.ts";
import {
  addVeth,
  deleteLink,
  dumpLinks,
  getLink,
  type Link,
  parseLink,
  setLink,
} from "../../../lib/netlink/link/link.ts";
import { addRoute, deleteRoute } from "../../../lib/netlink/route/route.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";
import { ask, assertBecomes } from "../../support/packet/becomes.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { TestPod } from "../../support/node/pod.ts";
import { PodServers, probe, type ProbeResult } from "../../support/packet/probe.ts";

const DENY_ALL = { podSelector: {}, policyTypes: ["Ingress", "Egress"] };

const CLUSTER_POLICY_KIND = {
  group: "policy.networking.k8s.io",
  version: "v1alpha2",
  plural: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  namespaced: false,
  custom: true,
  hasStatus: true,
};

function linkOf(socket: NetlinkSocket, name: string): Link {
  const [link] = socket.request(getLink({ name })).map(parseLink);
  if (link === undefined) throw new Error(`There is no link ${name}`);
  return link;
}

const NODE_ADDRESSES = ["192.0.2.1", "2001:db8::1"];

/** Gives the node addresses to send from, on its loopback. */
function addNodeAddresses(): void {
  using host = openNetlinkSocket(NETLINK_ROUTE);
  for (const text of NODE_ADDRESSES) {
    const prefix = Prefix.host(Address.parse(text));
    host.request(
      addAddress({ index: 1, prefix, noDad: prefix.address.family === 6, replace: true }),
    );
  }
}

Deno.test("a pod that nothing may reach is reached by its own node, over IPv4 and IPv6", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  await node.createPolicy("deny", DENY_ALL);
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  using own = openCurrentNamespace();
  addNodeAddresses();
  for (const address of server.addresses) {
    await assertBecomes("open", () => ask({ namespace: own }, address));
    await assertBecomes("timeout", () => ask(client, address));
  }
});

/** The link of a pod on this node. */
function hostLinkOf(host: NetlinkSocket, pod: TestPod): Link {
  const links = host.dump(dumpLinks()).map(parseLink);
  const link = links.find((it) => it.alias?.includes(pod.containerId));
  if (link === undefined) throw new Error(`There is no interface of ${pod.name}`);
  return link;
}

Deno.test("a pod may send only from its own addresses, unless that is switched off", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, spoofer] = [await node.addPod("server"), await node.addPod("spoofer")];
  using servers = new PodServers();
  using own = openCurrentNamespace();
  servers.tcp(server.namespace, 80);
  servers.tcp(own, 80);
  addNodeAddresses();
  using inner = withNamespace(spoofer.namespace, () => openNetlinkSocket(NETLINK_ROUTE));
  using host = openNetlinkSocket(NETLINK_ROUTE);
  const { index } = linkOf(inner, "eth0");
  const hostLink = hostLinkOf(host, spoofer);
  const targets = [...server.addresses, ...NODE_ADDRESSES];
  const answers = async (): Promise<ProbeResult> =>
    (await Promise.all(targets.map((address) => ask(spoofer, address)))).join();
  await assertBecomes("open,open,open,open", answers);
  // The pod takes other addresses, and the node would route the answers to it.
  const forged = { 4: Address.parse("10.244.9.77"), 6: Address.parse("fd00:10:244:9::77") };
  const gateways = {
    4: Address.parse("169.254.1.1"),
    6: Address.parse("fe80::ecee:eeff:feee:eeee"),
  };
  for (const target of targets.map(Address.parse)) {
    const { family } = target;
    const prefix = Prefix.host(forged[family]);
    inner.request(addAddress({ index, prefix, noDad: family === 6, replace: true }));
    inner.request(addRoute({
      destination: Prefix.host(target),
      index,
      gateway: gateways[family],
      onlink: true,
      preferredSource: forged[family],
    }));
  }
  // The node learns no neighbours there: what it routes to a pod goes by an address of the pod's own.
  const back = Object.values(forged).map((it) => ({
    destination: Prefix.host(it),
    gateway: spoofer.addresses.map(Address.parse).find(({ family }) => family === it.family),
    onlink: true,
    index: hostLink.index,
  }));
  for (const route of back) host.request(addRoute(route));
  assertEquals(await answers(), "timeout,timeout,timeout,timeout");
  node.agent.kill("SIGTERM");
  await node.agent.status;
  await node.startAgent({ FELIX_WORKLOADSOURCESPOOFING: "Any" });
  await assertBecomes("open,open,open,open", answers);
  for (const route of back) host.request(deleteRoute(route));
});

Deno.test("traffic of a pod to its own node follows defaultEndpointToHostAction", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  await node.startAgent({ FELIX_DEFAULTENDPOINTTOHOSTACTION: "Drop" });
  const pod = await node.addPod("client");
  using servers = new PodServers();
  using own = openCurrentNamespace();
  servers.tcp(own, 8080);
  servers.tcp(pod.namespace, 80);
  addNodeAddresses();
  const answer = async (): Promise<ProbeResult> => await ask(pod, "192.0.2.1", 8080);
  assertEquals(await answer(), "timeout");
  // What the node begins is answered all the same.
  const address = pod.addresses[0] ?? "";
  await assertBecomes("open", () => ask({ namespace: own }, address));
  node.agent.kill("SIGTERM");
  await node.agent.status;
  await node.startAgent();
  await assertBecomes("open", answer);
});

Deno.test("denied packets vanish, or are refused where cluster or namespace says so", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  await node.createPolicy("deny", { podSelector: { matchLabels: { app: "server" } } });
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  servers.udp(server.namespace, 53);
  const address = server.addresses[0] ?? "";
  const tcp = (): Promise<ProbeResult> => ask(client, address);
  const udp = (): Promise<ProbeResult> =>
    probe({ namespace: client.namespace, protocol: "UDP", address, port: 53 }, 300);
  await assertBecomes("timeout", tcp);
  await assertBecomes("timeout", udp);
  await node.objects.patch("/api/v1/namespaces/default", {
    metadata: { annotations: { "calyx.io/deny-action": "reject" } },
  });
  await assertBecomes("ECONNREFUSED", tcp);
  await assertBecomes("EHOSTUNREACH", udp);
  await node.objects.patch("/api/v1/namespaces/default", {
    metadata: { annotations: { "calyx.io/deny-action": null } },
  });
  await assertBecomes("timeout", tcp);
});

Deno.test("pods that another plugin attached are governed by their addresses", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const client = await node.addPod("client");
  await node.createPod("foreign");
  using pod = new TestPod("default", "foreign");
  using host = openNetlinkSocket(NETLINK_ROUTE);
  using inner = withNamespace(pod.namespace, () => openNetlinkSocket(NETLINK_ROUTE));
  host.request(
    addVeth({ name: "veth0", up: true, peer: { name: "eth0", namespaceFd: pod.namespace.fd } }),
  );
  try {
    const peer = linkOf(inner, "eth0").index;
    inner.request(setLink({ index: peer, up: true }));
    inner.request(addAddress({ index: peer, prefix: Prefix.parse("10.99.0.2/24") }));
    host.request(
      addAddress({ index: linkOf(host, "veth0").index, prefix: Prefix.parse("10.99.0.1/24") }),
    );
    inner.request(addRoute({
      destination: "default",
      family: 4,
      index: peer,
      gateway: Address.parse("10.99.0.1"),
    }));
    await node.setPodAddresses("foreign", ["10.99.0.2"]);
    using servers = new PodServers();
    servers.tcp(pod.namespace, 80);
    servers.tcp(client.namespace, 80);
    const [to, from] = [
      (): Promise<ProbeResult> => ask(client, "10.99.0.2"),
      (): Promise<ProbeResult> => ask(pod, client.addresses[0] ?? ""),
    ];
    await assertBecomes("open", to);
    await assertBecomes("open", from);
    await node.createPolicy("deny", {
      podSelector: { matchLabels: { app: "foreign" } },
      policyTypes: ["Ingress", "Egress"],
    });
    await assertBecomes("timeout", to);
    await assertBecomes("timeout", from);
    await node.deletePolicy("deny");
    await assertBecomes("open", to);
    await assertBecomes("open", from);
  } finally {
    host.request(deleteLink({ name: "veth0" }));
  }
});

Deno.test("a finished pod has no address for policy, and the pod that holds it next is judged by its own labels", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, next] = [await node.addPod("server"), await node.addPod("next")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const address = next.addresses[0] ?? "";
  // A job had the address before; it is finished, and its status still says so.
  await node.createPod("job");
  await node.objects.patch(`${node.objects.pods}/job/status`, {
    status: { phase: "Succeeded", podIP: address, podIPs: [{ ip: address }] },
  });
  await node.createPolicy("only-job", {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: "job" } } }] }],
  });
  const answer = (): Promise<ProbeResult> => ask(next, server.addresses[0] ?? "");
  await assertBecomes("timeout", answer);
  await node.createPolicy("also-next", {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: "next" } } }] }],
  });
  await assertBecomes("open", answer);
});

Deno.test("an ipBlock lets in what the API server means by its spelling", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const server = await node.addPod("server");
  const [named, other] = [await node.addPod("named"), await node.addPod("other")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const [address = ""] = server.addresses;
  const source = Address.parse(named.addresses[0] ?? "");
  const padded = `${source}`.split(".").map((it) => it.padStart(3, "0")).join(".");
  for (const cidr of [`::ffff:${source}/128`, `${padded}/032`]) {
    await node.createPolicy("spelled", {
      podSelector: { matchLabels: { app: "server" } },
      ingress: [{ from: [{ ipBlock: { cidr } }] }],
    });
    await assertBecomes("timeout", () => ask(other, address));
    assertEquals(await ask(named, address), "open", cidr);
    await node.deletePolicy("spelled");
    await assertBecomes("open", () => ask(other, address));
  }
});

Deno.test("a ClusterNetworkPolicy's kind comes, decides before the others, and goes", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const answer = (): Promise<ProbeResult> => ask(client, server.addresses[0] ?? "");
  await assertBecomes("open", answer);
  node.api.store.register(CLUSTER_POLICY_KIND);
  const rule = { action: "Deny", from: [{ namespaces: {} }] };
  node.api.store.create("clusternetworkpolicies", {
    metadata: { name: "deny" },
    spec: { tier: "Admin", priority: 10, subject: { namespaces: {} }, ingress: [rule] },
  });
  await node.agent.until("the kind is found", async () => await answer() === "timeout");
  await node.createPolicy("allow", { podSelector: {}, ingress: [{}] });
  assertEquals(await answer(), "timeout");
  node.api.store.patch("clusternetworkpolicies", "deny", {
    spec: { ingress: [{ ...rule, action: "Pass" }] },
  });
  await assertBecomes("open", answer);
  node.api.store.patch("clusternetworkpolicies", "deny", {
    spec: { tier: "Baseline", ingress: [rule] },
  });
  await assertBecomes("open", answer);
  await node.deletePolicy("allow");
  await assertBecomes("timeout", answer);
  node.api.store.delete("clusternetworkpolicies", "deny");
  await assertBecomes("open", answer);
});

const ADMIN_DENY = {
  metadata: { name: "deny" },
  spec: {
    tier: "Admin",
    priority: 10,
    subject: { namespaces: {} },
    ingress: [{ action: "Deny", from: [{ namespaces: {} }] }],
  },
};

Deno.test("a ClusterNetworkPolicy's kind goes while its policies are in force, and comes again", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  node.api.store.register(CLUSTER_POLICY_KIND);
  node.api.store.create("clusternetworkpolicies", ADMIN_DENY);
  await node.startAgent();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const answer = (): Promise<ProbeResult> => ask(client, server.addresses[0] ?? "");
  assertEquals(await answer(), "timeout");
  // Without a word that the policy is gone: the watch ends, and then there is no such kind.
  node.api.store.unregister(CLUSTER_POLICY_KIND);
  node.api.faults.closeWatches();
  await node.agent.until("the kind is gone", async () => await answer() === "open");
  node.api.store.register({ ...CLUSTER_POLICY_KIND, version: "v1beta1" });
  node.api.store.create("clusternetworkpolicies", ADMIN_DENY);
  await node.agent.until("the kind is back", async () => await answer() === "timeout");
});

Deno.test("an Admin Deny holds while its kind's versions change, and when none can be read", async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false });
  const { api } = node;
  api.store.register(CLUSTER_POLICY_KIND);
  api.store.create("clusternetworkpolicies", ADMIN_DENY);
  const port = freePort();
  const askHealth = async (path: string): Promise<string> =>
    await (await fetch(`http://127.0.0.1:${port}/${path}`)).text();
  await node.startAgent({ CALYX_HEALTH_PORT: `${port}` });
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  servers.tcp(server.namespace, 80);
  const answers = new Set<ProbeResult>();
  let isWatching = true;
  const watching = (async () => {
    while (isWatching) answers.add(await ask(client, server.addresses[0] ?? ""));
  })();
  const isRead = (version: string) => async (): Promise<boolean> =>
    (await askHealth("metrics")).includes(`version="${version}"`);
  try {
    await node.agent.until("v1alpha2 is read", isRead("v1alpha2"));
    api.serve(CLUSTER_POLICY_KIND, ["v1alpha2", "v1beta1"]);
    await node.agent.until("v1beta1 is read", isRead("v1beta1"));
    api.serve(CLUSTER_POLICY_KIND, ["v1alpha2"]);
    await node.agent.until("v1alpha2 is read", isRead("v1alpha2"));
    api.serve(CLUSTER_POLICY_KIND, ["v1beta1"]);
    await node.agent.until("v1beta1 is read", isRead("v1beta1"));
    api.serve(CLUSTER_POLICY_KIND, ["v9"]);
    const isSaid = async (): Promise<boolean> => (await askHealth("readyz")).includes("/v9");
    await node.agent.until("/readyz says that it cannot be read", isSaid);
    assertEquals(node.agent.log.includes("kind not readable"), true);
    assertEquals(
      (await askHealth("metrics")).includes('calyx_unreadable{kind="clusterPolicy"} 1'),
      true,
    );
    // An agent that starts now has read none of them: the kernel keeps what it has.
    await node.agent[Symbol.asyncDispose]();
    await node.startAgent({ CALYX_HEALTH_PORT: `${port}` }, { waits: false });
    await node.agent.until("/readyz of the next agent says it", isSaid);
    assertEquals((await askHealth("readyz")).startsWith("Not every clusterPolicy is known"), true);
    assertEquals(await ask(client, server.addresses[0] ?? ""), "timeout");
    api.serve(CLUSTER_POLICY_KIND, ["v9", "v1beta1"]);
    await node.agent.until("v1beta1 is read", isRead("v1beta1"));
  } finally {
    isWatching = false;
    await watching;
  }
  assertEquals([...answers], ["timeout"], "at no moment was it open");
  api.store.delete("clusternetworkpolicies", "deny");
  await node.agent.until(
    "the policy is gone",
    async () => await ask(client, server.addresses[0] ?? "") === "open",
  );
});

/** A port of the loopback that nothing listens on. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
