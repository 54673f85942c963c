/** A pod that so many policies govern that their chain has groups: on real packets. */

import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import { PodServers, probe } from "../../support/packet/probe.ts";
import { until } from "../../support/until.ts";

const COUNT = 150;

Deno.test("of 150 policies of a pod the last may allow, until it goes", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  servers.udp(server.namespace, 53);
  const [address = ""] = server.addresses;
  const isOpen = async (): Promise<boolean> =>
    await probe({ namespace: client.namespace, protocol: "UDP", address, port: 53 }) === "open";
  await until("nothing is denied", isOpen);
  const allow = (app: string): Readonly<Record<string, unknown>> => ({
    podSelector: {},
    ingress: [{ from: [{ podSelector: { matchLabels: { app } } }] }],
  });
  for (let i = 0; i < COUNT; i++) await node.createPolicy(`policy-${i}`, allow(`absent-${i}`));
  await until("none allows it", async () => !await isOpen());
  await node.createPolicy("the-last", allow("client"));
  await until("the last allows it", isOpen);
  await node.deletePolicy("the-last");
  await until("none allows it again", async () => !await isOpen());
  await node.createPolicy("a-first", allow("client"));
  await until("the first allows it", isOpen);
});
