/**
 * Services by IPVS, on real packets: what goes through them passes LOCAL_IN and LOCAL_OUT, never the
 * forward hook, and policy holds there all the same. Needs a kernel with IPVS.
 */

import { assert, assertEquals } from "@std/assert";
import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { writeSysctl } from "../../../lib/kernel/sysctl.ts";
import { addAddress } from "../../../lib/netlink/address/address.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { ask, assertBecomes } from "../../support/packet/becomes.ts";
import { TestFlow } from "../../support/packet/flow.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { nft } from "../../support/kernel/nft_listing.ts";
import { TestNode } from "../../support/node/node.ts";
import { Outside, UPLINK } from "../../support/node/outside.ts";
import type { TestPod } from "../../support/node/pod.ts";
import { PodServers, type ProbeResult } from "../../support/packet/probe.ts";
import { findProgram, missingProgram, skippableTest } from "../../support/program/program.ts";
import { sleep, until } from "../../support/until.ts";

const PORT = 80;
const SERVICE_PORT = 8080;
const NODE_PORT = 30080;
/** Virtual addresses, and the node's own for NodePorts. */
const VIRTUAL = ["10.96.0.10", "fd00:10:96::10"] as const;
/** In which nothing more comes of a flow that is cut. */
const SILENCE_MS = 1_000;

function run(name: string, ...args: string[]): void {
  const { code, stderr } = new Deno.Command(name, { args }).outputSync();
  if (code !== 0) throw new Error(`${name} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

/** Why there is no IPVS here; undefined when there is. */
function missingIpvs(): string | undefined {
  const missing = missingProgram(["ipvsadm", "nft"]);
  if (missing !== undefined) return missing;
  const { success } = new Deno.Command(findProgram("ipvsadm") ?? "ipvsadm", { args: ["-L", "-n"] })
    .outputSync();
  return success ? undefined : "this kernel has no IPVS (module ip_vs)";
}

/** The services of `server`, as kube-proxy makes them, until they are disposed of. */
function balance(server: TestPod): Disposable {
  writeSysctl("net/ipv4/vs/conntrack", "1");
  using host = openNetlinkSocket(NETLINK_ROUTE);
  for (const [at, pod] of server.addresses.entries()) {
    const virtual = VIRTUAL[at] ?? "";
    const prefix = Prefix.host(Address.parse(virtual));
    host.request(addAddress({ index: 1, prefix, replace: true, noDad: true }));
    const end = (address: string, port: number): string =>
      at === 0 ? `${address}:${port}` : `[${address}]:${port}`;
    for (const service of [end(virtual, SERVICE_PORT), end(UPLINK[at] ?? "", NODE_PORT)]) {
      run("ipvsadm", "-A", "-t", service, "-s", "rr");
      run("ipvsadm", "-a", "-t", service, "-r", end(pod, PORT), "-m");
    }
  }
  return { [Symbol.dispose]: () => run("ipvsadm", "-C") };
}

/** As kube-proxy does: a pod that a Service leads back to itself would answer itself past the node. */
function masqueradeItself({ addresses: [ipv4 = "", ipv6 = ""] }: TestPod): void {
  nft(
    "add table inet itself; add chain inet itself postrouting { type nat hook postrouting priority " +
      `srcnat; }; add rule inet itself postrouting ip saddr ${ipv4} ip daddr ${ipv4} masquerade; ` +
      `add rule inet itself postrouting ip6 saddr ${ipv6} ip6 daddr ${ipv6} masquerade`,
  );
}

/** What both families say, if they agree. */
async function both(
  from: Pick<TestPod, "namespace">,
  addresses: readonly string[],
  port: number,
): Promise<ProbeResult> {
  const results = await Promise.all(addresses.map((it) => ask(from, it, port)));
  return results.every((it) => it === results[0]) ? results[0] ?? "" : results.join();
}

/** Lets in the pods labelled so, and what else `from` says. */
function onlyFrom(app: string, ...from: readonly unknown[]): Readonly<Record<string, unknown>> {
  return {
    podSelector: { matchLabels: { app: "server" } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app } } }, ...from] }],
  };
}

const OUTSIDE_BLOCKS = ["192.0.2.0/24", "2001:db8::/64"].map((cidr) => ({ ipBlock: { cidr } }));

skippableTest("policy holds for what IPVS sends to pods", missingIpvs(), async () => {
  requireIsolation();
  await using node = await TestNode.start();
  const [server, friend, stranger] = [
    await node.addPod("server"),
    await node.addPod("friend"),
    await node.addPod("stranger"),
  ];
  using outside = new Outside();
  using servers = new PodServers();
  servers.tcp(server.namespace, PORT);
  using _services = balance(server);
  using own = openCurrentNamespace();
  const answers = {
    friend: () => both(friend, VIRTUAL, SERVICE_PORT),
    stranger: () => both(stranger, VIRTUAL, SERVICE_PORT),
    outside: () => both(outside, UPLINK, NODE_PORT),
    host: () => both({ namespace: own }, VIRTUAL, SERVICE_PORT),
    itself: () => both(server, VIRTUAL, SERVICE_PORT),
  };
  /** No policy keeps the node from its pods, nor a pod from itself. */
  const always = { host: "open", itself: "open" } as const;
  const expect = async (
    expected: Readonly<Record<Exclude<keyof typeof answers, keyof typeof always>, ProbeResult>>,
  ): Promise<void> => {
    const all = { ...expected, ...always };
    for (const [name, answer] of Object.entries(answers)) {
      await assertBecomes(all[name as keyof typeof answers], answer);
    }
  };
  masqueradeItself(server);
  await expect({ friend: "open", stranger: "open", outside: "open" });
  await node.createPolicy("in", onlyFrom("friend"));
  await expect({ stranger: "timeout", friend: "open", outside: "timeout" });
  await node.deletePolicy("in");
  await node.createPolicy("in", onlyFrom("friend", ...OUTSIDE_BLOCKS));
  await expect({ stranger: "timeout", friend: "open", outside: "open" });
  await node.createPolicy("out", {
    podSelector: { matchLabels: { app: "friend" } },
    policyTypes: ["Egress"],
    egress: [],
  });
  await expect({ friend: "timeout", stranger: "timeout", outside: "open" });
  await node.deletePolicy("out");
  await node.createPolicy("out", {
    podSelector: { matchLabels: { app: "friend" } },
    policyTypes: ["Egress"],
    egress: [{
      to: [{ podSelector: { matchLabels: { app: "server" } } }],
      ports: [{ port: PORT }],
    }],
  });
  await expect({ friend: "open", stranger: "timeout", outside: "open" });
  // As kube-proxy does for what comes from outside: the pod sees the node's address, policy does not.
  nft(
    "add table inet translated; add chain inet translated postrouting { type nat hook postrouting " +
      'priority srcnat; }; add rule inet translated postrouting oifname "cali*" ip saddr ' +
      '192.0.2.0/24 masquerade; add rule inet translated postrouting oifname "cali*" ip6 saddr ' +
      "2001:db8::/64 masquerade",
  );
  await expect({ friend: "open", stranger: "timeout", outside: "open" });
  await node.deletePolicy("in");
  await node.createPolicy("in", onlyFrom("friend"));
  await expect({ stranger: "timeout", friend: "open", outside: "timeout" });
  nft("delete table inet translated");
  nft("delete table inet itself");
});

skippableTest(
  "flows through IPVS outlive the agent, and end when policy says so",
  missingIpvs(),
  async () => {
    requireIsolation();
    await using node = await TestNode.start();
    const [server, friend] = [await node.addPod("server"), await node.addPod("friend")];
    using outside = new Outside();
    using servers = new PodServers();
    servers.tcp(server.namespace, PORT);
    using _services = balance(server);
    await node.createPolicy("in", onlyFrom("friend", ...OUTSIDE_BLOCKS));
    await assertBecomes("open", () => both(friend, VIRTUAL, SERVICE_PORT));
    const open = (name: string, namespace: TestPod["namespace"], address: string, port: number) =>
      TestFlow.open({ name: `${name} ${address}`, namespace, protocol: "TCP", address, port });
    const flows = await Promise.all([
      ...VIRTUAL.map((it) => open("friend", friend.namespace, it, SERVICE_PORT)),
      ...UPLINK.map((it) => open("outside", outside.namespace, it, NODE_PORT)),
    ]);
    try {
      await until("every flow is under way", () => flows.every((it) => it.received > 10));
      node.agent.kill("SIGKILL");
      await node.agent.status;
      await node.startAgent();
      const before = flows.map((it) => it.received);
      await until(
        "they go on",
        () => flows.every((it, at) => it.received > (before[at] ?? 0) + 10),
      );
      await node.deletePolicy("in");
      await node.createPolicy("in", onlyFrom("absent"));
      await until(
        "every flow is cut",
        () => flows.every((it) => performance.now() - it.receivedAtMs > SILENCE_MS),
        () => node.agent.log,
      );
      const received = flows.map((it) => it.received);
      await sleep(SILENCE_MS);
      assertEquals(flows.map((it) => it.received), received);
      assert(node.agent.log.includes('"flows cut"'), node.agent.log);
    } finally {
      flows.forEach((it) => it[Symbol.dispose]());
    }
  },
);
