/** What pods and strangers claim to be and are not: addresses of others, ends of flows of others. */

import { assertEquals } from "@std/assert";
import { Address } from "../../../lib/ip/address.ts";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { TestFlow } from "../../support/packet/flow.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { OUTSIDE, Outside, UPLINK } from "../../support/node/outside.ts";
import type { TestPod } from "../../support/node/pod.ts";
import { PodServers } from "../../support/packet/probe.ts";
import { ErrorListener, sendForged, sendPortUnreachable } from "../../support/packet/raw_socket.ts";
import { sleep, until } from "../../support/until.ts";

const PORT = 53;
/** Long enough for a packet that should not come; what should come is waited for. */
const SILENCE_MS = 300;

/** What the servers of `namespace` heard, as texts. */
function listen(servers: PodServers, namespace: TestPod["namespace"]): Set<string> {
  const heard = new Set<string>();
  servers.onDatagram = (payload) => heard.add(new TextDecoder().decode(payload));
  servers.udp(namespace, PORT);
  return heard;
}

Deno.test("a pod's address counts only on the pod's own interface, through the node and to it", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, friend] = [await node.addPod("server"), await node.addPod("friend")];
  using outside = new Outside();
  using servers = new PodServers();
  const heard = listen(servers, server.namespace);
  using own = openCurrentNamespace();
  servers.udp(own, PORT);
  await node.createPolicy("p", {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [
      { from: [{ podSelector: { matchLabels: { app: "friend" } } }] },
      { from: [{ ipBlock: { cidr: "192.0.2.0/24" } }, { ipBlock: { cidr: "2001:db8::/64" } }] },
    ],
  });
  const targets = server.addresses.flatMap((address, at) => [
    { name: `pod ${at}`, at, address },
    { name: `node ${at}`, at, address: UPLINK[at] ?? "" },
  ]);
  const send = (kind: string, from: readonly string[]): void => {
    for (const { name, at, address } of targets) {
      sendForged(
        outside.namespace,
        Address.parse(from[at] ?? ""),
        { address: Address.parse(address), port: PORT },
        new TextEncoder().encode(`${kind} ${name}`),
      );
    }
  };
  // The way is open: what comes from the outside's own address is heard, and after it nothing else.
  await until("the outside is heard", () => {
    send("forged", friend.addresses);
    send("plain", OUTSIDE);
    return targets.every(({ name }) => heard.has(`plain ${name}`));
  }, () => [...heard].join());
  await sleep(SILENCE_MS);
  assertEquals([...heard].filter((it) => it.startsWith("forged")), []);
});

Deno.test("an ICMP error from a pod counts only where the pod is an end of the flow", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [client, server, mute] = [
    await node.addPod("client"),
    await node.addPod("server"),
    await node.addPod("mute"),
  ];
  using servers = new PodServers();
  servers.udp(server.namespace, PORT);
  await node.createPolicy("mute", {
    podSelector: { matchLabels: { app: "mute" } },
    policyTypes: ["Egress"],
  });
  const payload = new TextEncoder().encode("a message");
  using errors = new ErrorListener(client.namespace, payload);
  for (const [at, address] of server.addresses.entries()) {
    const localPort = 40_000 + at;
    using flow = await TestFlow.open({
      ...{ name: `client>server ${address}`, namespace: client.namespace, protocol: "UDP" },
      ...{ address, port: PORT, localPort },
    });
    await until("the flow is known", () => flow.received > 0);
    const to = { address: Address.parse(client.addresses[at] ?? ""), port: localPort };
    const quoted = { address: Address.parse(address), port: PORT };
    const { family } = to.address;
    let forged = 0;
    // The server may send port unreachable: it is an end of the flow. The mute pod is not.
    await until("the server's error arrives", () => {
      sendPortUnreachable(mute.namespace, to, quoted, payload);
      forged += errors.take()[family];
      sendPortUnreachable(server.namespace, to, quoted, payload);
      return errors.take()[family] > 0;
    });
    await sleep(SILENCE_MS);
    errors.take();
    sendPortUnreachable(mute.namespace, to, quoted, payload);
    await sleep(SILENCE_MS);
    assertEquals([forged, errors.take()[family]], [0, 0], `IPv${family}`);
  }
});
