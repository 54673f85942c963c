/**
 * The tutorial that NetworkPolicy's first users followed, step by step: isolation by annotation, then a
 * policy that lets one pod in. It counts where the agent is told so.
 */

import { assertEquals } from "@std/assert";
import { ask, assertBecomes } from "../../support/packet/becomes.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { nft } from "../../support/kernel/nft_listing.ts";
import { TestNode } from "../../support/node/node.ts";
import { PodServers, type ProbeResult } from "../../support/packet/probe.ts";
import { programTest } from "../../support/program/program.ts";

const NAMESPACE = "policy-demo";
const ANNOTATION = "net.beta.kubernetes.io/network-policy";

programTest("the tutorial of NetworkPolicy's first days runs, step by step", ["nft"], async () => {
  requireIsolation();
  await using node = await TestNode.start({ agent: false, namespace: NAMESPACE });
  await node.startAgent({ CALYX_ISOLATION_ANNOTATION: "on" });
  const annotate = (text: string | null): Promise<void> =>
    node.objects.patch(`/api/v1/namespaces/${NAMESPACE}`, {
      metadata: { annotations: { [ANNOTATION]: text } },
    });
  // Two replicas of nginx, and a pod to reach them from.
  const replicas = [
    await node.addPod("nginx-1", { run: "nginx" }),
    await node.addPod("nginx-2", { run: "nginx" }),
  ];
  const access = await node.addPod("access", { run: "access" });
  using servers = new PodServers();
  for (const it of replicas) servers.tcp(it.namespace, 80);
  const addresses = replicas.flatMap((it) => it.addresses);
  const wget = (from = access) => async (): Promise<ProbeResult> => {
    const results = await Promise.all(addresses.map((it) => ask(from, it)));
    return [...new Set(results)].join();
  };
  await assertBecomes("open", wget());
  // Isolation: the same call times out, for everybody.
  await annotate('{"ingress": {"isolation": "DefaultDeny"}}');
  await assertBecomes("timeout", wget());
  await node.createPolicy("access-nginx", {
    podSelector: { matchLabels: { run: "nginx" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { run: "access" } } }] }],
  });
  await assertBecomes("open", wget());
  const other = await node.addPod("cant-access", { run: "cant-access" });
  assertEquals(await wget(other)(), "timeout");
  // Text that is no such JSON isolates nothing, and says so.
  await node.deletePolicy("access-nginx");
  await annotate("DefaultDeny");
  await assertBecomes("open", wget(other));
  await node.agent.until("that is said", () => node.agent.log.includes("object not understood"));
  // The namespace goes with all that is in it, and nothing of it stays.
  await annotate('{"ingress": {"isolation": "DefaultDeny"}}');
  for (const pod of [...replicas, access, other]) await node.removePod(pod);
  await node.objects.delete(`/api/v1/namespaces/${NAMESPACE}`);
  await node.agent.until(
    "the kernel forgets the namespace",
    () => !nft("list", "table", "inet", "calyx").includes(NAMESPACE),
  );
});
