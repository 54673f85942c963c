/** Packets beside the first ones of TCP, UDP and SCTP: pings, errors, what is invalid. */

import { assert, assertEquals } from "@std/assert";
import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { addAddress } from "../../../lib/netlink/address/address.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { assertBecomes } from "../../support/packet/becomes.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { nft } from "../../support/kernel/nft_listing.ts";
import { TestNode } from "../../support/node/node.ts";
import type { TestPod } from "../../support/node/pod.ts";
import { PodServers, probe, type ProbeResult, sendDatagram } from "../../support/packet/probe.ts";
import { programTest } from "../../support/program/program.ts";
import { ping, sendInvalidTcp, sendToLoopback } from "../../support/packet/raw_socket.ts";

const TIMEOUT_MS = 300;
const BOTH = { podSelector: {}, policyTypes: ["Ingress", "Egress"] };

/** Pings over both families. */
function pinging(client: TestPod, server: TestPod): () => Promise<ProbeResult> {
  return async () => {
    const all = server.addresses.map((it) => ping(client.namespace, Address.parse(it), TIMEOUT_MS));
    return (await Promise.all(all)).join();
  };
}

Deno.test("a ping passes where a rule names no ports, and nowhere else", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  const pings = pinging(client, server);
  await assertBecomes("open,open", pings);
  const ports = ["TCP", "UDP", "SCTP"].map((protocol) => ({ protocol }));
  await node.createPolicy("ports", { ...BOTH, ingress: [{ ports }], egress: [{ ports }] });
  await assertBecomes("timeout,timeout", pings);
  await node.createPolicy("every", { ...BOTH, ingress: [{}], egress: [{}] });
  await assertBecomes("open,open", pings);
});

Deno.test("an ICMP error about an allowed packet reaches its sender through every policy", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  const pings = pinging(client, server);
  await node.createPolicy("closed", BOTH);
  await assertBecomes("timeout,timeout", pings);
  await node.createPolicy("ask", {
    podSelector: { matchLabels: { app: "client" } },
    policyTypes: ["Egress"],
    egress: [{ ports: [{ protocol: "UDP", port: 53 }] }],
  });
  await node.createPolicy("answer", {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ ports: [{ protocol: "UDP", port: 53 }] }],
  });
  const asked = async (): Promise<ProbeResult> => {
    const all = server.addresses.map((address) =>
      probe({ namespace: client.namespace, protocol: "UDP", address, port: 53 }, TIMEOUT_MS)
    );
    return (await Promise.all(all)).join();
  };
  // The port is closed: the server's kernel sends port unreachable, the only packet that may come back.
  await assertBecomes("ECONNREFUSED,ECONNREFUSED", asked);
  assertEquals(await pings(), "timeout,timeout");
});

programTest("what is invalid is dropped, though a rule allows everything", ["nft"], async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  await node.createPolicy("every", { ...BOTH, ingress: [{}], egress: [{}] });
  const dropped = (): number => {
    const counts = nft("list", "table", "inet", "calyx")
      .matchAll(/counter packets (\d+) bytes \d+ drop comment "invalid"/g);
    return [...counts].reduce((sum, it) => sum + Number(it[1]), 0);
  };
  await node.agent.until("the policy is in force", listsPolicy);
  assertEquals(dropped(), 0);
  for (const address of server.addresses) {
    sendInvalidTcp(client.namespace, Address.parse(address), 80);
  }
  await node.agent.until("both are dropped", () => dropped() === 2);
  assert(listsPolicy());
});

function listsPolicy(): boolean {
  return nft("list", "table", "inet", "calyx").includes("policy-egress/default/every");
}

Deno.test("a pod does not reach what its node serves on its loopback", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const client = await node.addPod("client");
  using servers = new PodServers();
  using own = openCurrentNamespace();
  servers.udp(own, 5353);
  const heard: string[] = [];
  servers.onDatagram = (payload) => heard.push(new TextDecoder().decode(payload));
  sendToLoopback(client.namespace, 5353, new TextEncoder().encode("forged"));
  // What comes after it, by an address that the pod may use, shows that it would have been heard.
  addNodeAddress("192.0.2.1");
  await node.agent.until("the node hears the pod", () => {
    sendDatagram(
      { namespace: client.namespace, address: "192.0.2.1", port: 5353 },
      new TextEncoder().encode("plain"),
    );
    return heard.includes("plain");
  });
  assertEquals(heard.filter((it) => it !== "plain"), []);
});

function addNodeAddress(text: string): void {
  using host = openNetlinkSocket(NETLINK_ROUTE);
  host.request(
    addAddress({ index: 1, prefix: Prefix.host(Address.parse(text)), replace: true }),
  );
}
