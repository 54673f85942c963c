/** Large policies of one tenant and a change of another: what the kernel has first. */

import { assert, assertEquals } from "@std/assert";
import { LargePolicies } from "../../../agent/large_policies.ts";
import { EnforcementLoop } from "../../../agent/loop.ts";
import { createLogger } from "../../../lib/base/log.ts";
import { Dataplane } from "../../../lib/dataplane/apply.ts";
import { TABLE } from "../../../lib/dataplane/table.ts";
import { decodeNetworkPolicy } from "../../../lib/datastore/decode/network_policy.ts";
import type { NetworkPolicy } from "../../../lib/model/policy.ts";
import { dumpChains, parseChain } from "../../../lib/netlink/nftables/chain.ts";
import {
  NETLINK_NETFILTER,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";
import { PolicyGraph } from "../../../lib/policy/graph.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { addPod, SAMPLE_NODE } from "../../support/facts/sample_facts.ts";
import { TestNode } from "../../support/node/node.ts";
import { PodServers, probe } from "../../support/packet/probe.ts";
import { until } from "../../support/until.ts";

const COMPILE_OPTIONS = {};
const LARGE_COUNT = 20;
const NETWORKS = 3_000;

/** The spec of a policy that allows so many networks, which are those of `index` alone, and `others`. */
function largeSpec(index: number, ...others: unknown[]): Readonly<Record<string, unknown>> {
  const networks = Array.from({ length: NETWORKS }, (_, it) => ({
    ipBlock: { cidr: `172.${index + 1}.${it >> 8}.${it & 0xff}/32` },
  }));
  return { podSelector: {}, ingress: [{ from: [...networks, ...others] }] };
}

function policyOf(namespace: string, name: string, spec: unknown): NetworkPolicy {
  const { value } = decodeNetworkPolicy({
    metadata: { namespace, name, resourceVersion: `${name}-1` },
    spec,
  });
  if (value === undefined) throw new TypeError("The policy is well-formed");
  return value;
}

/** Our chains' names, the oldest first: the kernel numbers what it makes (`nf_tables_alloc_handle()`). */
function chainsByAge(socket: NetlinkSocket): readonly string[] {
  return socket.dump(dumpChains(TABLE)).map(parseChain)
    .sort((a, b) => Number(a.handle - b.handle))
    .map((it) => it.name);
}

Deno.test("twenty large policies of one tenant leave the way to another tenant's change", async () => {
  requireIsolation();
  const graph = new PolicyGraph({ nodeName: SAMPLE_NODE });
  for (const name of ["tenant", "victim"]) {
    graph.update("namespace", name, { name, labels: {}, isIsolated: false, denyAction: undefined });
  }
  addPod(graph, "tenant", "a", 1, {});
  addPod(graph, "victim", "b", 2, {});
  const logger = createLogger({ level: "error" });
  using socket = openNetlinkSocket(NETLINK_NETFILTER);
  using reader = openNetlinkSocket(NETLINK_NETFILTER);
  const dataplane = new Dataplane(socket, logger);
  const policies = new LargePolicies({
    update: (key, policy) => graph.update("policy", key, policy),
    logger,
  });
  const loop = new EnforcementLoop({
    flush: () => graph.flush(),
    dataplane,
    compileOptions: () => COMPILE_OPTIONS,
    resyncIntervalMs: 0,
    takeTurn: () => policies.takeTurn(),
    logger,
  });
  const take = (namespace: string, name: string, spec: unknown): void => {
    if (policies.take(`${namespace}/${name}`, policyOf(namespace, name, spec))) loop.kick();
  };
  const stop = new AbortController();
  const running = loop.start(stop.signal);
  try {
    policies.start();
    for (let i = 0; i < LARGE_COUNT; i++) take("tenant", `large-${i}`, largeSpec(i));
    await until("the first one takes its turn", () => policies.waiting.length < LARGE_COUNT);
    const left = policies.waiting.length;
    assert(left > 0, "All had their turns at once");
    take("victim", "small", { podSelector: {} });
    const isThere = (name: string): boolean => chainsByAge(reader).includes(name);
    await until("the small one is there", () => isThere("policy-ingress/victim/small"));
    await until("all have had their turns", () => policies.waiting.length === 0);
    await until(
      "the last is there",
      () => isThere(`policy-ingress/tenant/large-${LARGE_COUNT - 1}`),
    );
    const order = chainsByAge(reader).filter((it) => it.startsWith("policy-"));
    assertEquals(order.length, LARGE_COUNT + 1);
    const before = order.indexOf("policy-ingress/victim/small");
    // It waited for those that had had their turns, of which the last may have come with it, and for no other.
    assert(before <= LARGE_COUNT - left, order.join("\n"));
  } finally {
    stop.abort();
    await running;
    await dataplane.remove();
  }
});

Deno.test("calyx-agent isolates for a large policy until its turn, and then allows what it allows", async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, client] = [await node.addPod("server"), await node.addPod("client")];
  using servers = new PodServers();
  servers.udp(server.namespace, 53);
  const [address = ""] = server.addresses;
  const isOpen = async (): Promise<boolean> =>
    await probe({ namespace: client.namespace, protocol: "UDP", address, port: 53 }) === "open";
  await until("nothing is denied", isOpen);
  await node.createPolicy("large-other", largeSpec(1));
  await until("the first is in force", async () => !await isOpen());
  await node.createPolicy(
    "large",
    largeSpec(0, { podSelector: { matchLabels: { app: "client" } } }),
  );
  await until("what it allows is open", isOpen);
  assert(node.agent.log.includes("large policies queued"), node.agent.log);
  await until("none waits", () => node.agent.log.includes("no large policy queued any more"));
});
