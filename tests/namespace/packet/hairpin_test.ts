/**
 * A pod that a Service leads back to itself, on real packets: translated and masqueraded as kube-proxy
 * does. No NetworkPolicy keeps it from itself, a ClusterNetworkPolicy does.
 */

import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { ask, assertBecomes } from "../../support/packet/becomes.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { TestNode } from "../../support/node/node.ts";
import type { TestPod } from "../../support/node/pod.ts";
import { PodServers } from "../../support/packet/probe.ts";
import { programTest } from "../../support/program/program.ts";

const SERVICES = ["10.96.0.10", "fd00:10:96::10"];
const SERVICE_PORT = 8080;
const PORT = 80;

const CLUSTER_POLICY_KIND = {
  group: "policy.networking.k8s.io",
  version: "v1alpha2",
  plural: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  namespaced: false,
  custom: true,
};
const DENIAL = {
  metadata: { name: "deny" },
  spec: {
    tier: "Admin",
    priority: 1,
    subject: { namespaces: {} },
    ingress: [{ action: "Deny", from: [{ namespaces: {} }] }],
  },
};

function nft(commands: string): void {
  const { code, stderr } = new Deno.Command("nft", { args: [commands] }).outputSync();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
}

/** A table that leads both services to `pod`, and masquerades what then comes from the pod itself. */
function serviceTable({ addresses: [ipv4, ipv6] }: TestPod): Disposable {
  nft(`table inet services {
    chain prerouting {
      type nat hook prerouting priority dstnat
      ip daddr ${SERVICES[0]} tcp dport ${SERVICE_PORT} dnat ip to ${ipv4}:${PORT}
      ip6 daddr ${SERVICES[1]} tcp dport ${SERVICE_PORT} dnat ip6 to [${ipv6}]:${PORT}
    }
    chain postrouting {
      type nat hook postrouting priority srcnat
      ip saddr ${ipv4} ip daddr ${ipv4} masquerade
      ip6 saddr ${ipv6} ip6 daddr ${ipv6} masquerade
    }
  }`);
  return { [Symbol.dispose]: () => nft("delete table inet services") };
}

programTest(
  "a pod that its Service leads back to itself is ClusterNetworkPolicy's, not NetworkPolicy's",
  ["nft"],
  async () => {
    requireIsolation();
    await using node = await TestNode.start({ agent: false });
    node.api.store.register(CLUSTER_POLICY_KIND);
    await node.startAgent();
    await node.setAddresses(["192.0.2.1", "2001:db8::1"]);
    const [server, client] = [await node.addPod("server"), await node.addPod("client")];
    using _ = serviceTable(server);
    using servers = new PodServers();
    using own = openCurrentNamespace();
    servers.tcp(server.namespace, PORT);
    /** Of the server itself, and of the other pod, over IPv4 and IPv6. */
    const becomes = async (itself: string, other: string): Promise<void> => {
      for (const service of SERVICES) {
        await assertBecomes(itself, () => ask(server, service, SERVICE_PORT));
        await assertBecomes(other, () => ask(client, service, SERVICE_PORT));
      }
    };
    await becomes("open", "open");
    await node.createPolicy("closed", { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
    await becomes("open", "timeout");
    await assertBecomes("open", () => ask({ namespace: own }, server.addresses[0] ?? "", PORT));
    node.api.store.create("clusternetworkpolicies", DENIAL);
    await becomes("timeout", "timeout");
    const spec = { ...DENIAL.spec, tier: "Baseline" };
    node.api.store.patch("clusternetworkpolicies", "deny", { spec });
    await becomes("open", "timeout");
    await node.deletePolicy("closed");
    await becomes("timeout", "timeout");
    node.api.store.delete("clusternetworkpolicies", "deny");
    await becomes("open", "open");
  },
);
