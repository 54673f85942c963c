/**
 * What policy does not see, on real packets where they decide what is said of it: the agent tells of it
 * in /readyz, in its log and in /metrics.
 */

import { assert, assertEquals } from "@std/assert";
import type { BypassKind } from "../../../agent/bypass.ts";
import type { Bytes } from "../../../lib/base/bytes.ts";
import { Address } from "../../../lib/ip/address.ts";
import { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { readSysctl, writeSysctl } from "../../../lib/kernel/sysctl.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { getLink, parseLink } from "../../../lib/netlink/link/link.ts";
import { SETLINK } from "../../../lib/netlink/link/message.ts";
import { request } from "../../../lib/netlink/message.ts";
import { dumpFlowTables, parseFlowTable } from "../../../lib/netlink/nftables/flow_table.ts";
import {
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";
import { ask, assertBecomes } from "../../support/packet/becomes.ts";
import { PushServer, TestFlow } from "../../support/packet/flow.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { nft } from "../../support/kernel/nft_listing.ts";
import { TestNode } from "../../support/node/node.ts";
import { TestPod } from "../../support/node/pod.ts";
import { PodServers, socketAddress } from "../../support/packet/probe.ts";
import { missingProgram, programTest, skippableTest } from "../../support/program/program.ts";
import { sleep, until } from "../../support/until.ts";
import { loadXdpProgram } from "../../support/packet/xdp_program.ts";

const HEALTH = { CALYX_HEALTH_PORT: "9099" };
/** A policy that lets none reach the pods labelled so. */
const closed = (app: string): Readonly<Record<string, unknown>> => ({
  podSelector: { matchLabels: { app } },
});

/** Runs a program with what is between the blanks. @throws {Error} with what it says */
function run(line: string, ...more: readonly string[]): string {
  const [name = "", ...args] = line.split(" ");
  const { code, stdout, stderr } = new Deno.Command(name, { args: [...args, ...more] })
    .outputSync();
  if (code !== 0) throw new Error(`${line}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** Whether this kernel does that. */
function does(line: string): boolean {
  try {
    run(line);
    return true;
  } catch {
    return false;
  }
}

/** A node whose agent answers on its port. */
async function startNode(env: Readonly<Record<string, string>> = {}): Promise<TestNode> {
  const node = await TestNode.start({ agent: false });
  await node.startAgent({ ...HEALTH, ...env });
  return node;
}

async function fetchHealth(path: string): Promise<string> {
  return await (await fetch(`http://127.0.0.1:9099${path}`)).text();
}

/** Waits until /readyz has a line that ends so (for `count` 0: none), and the metric agrees. */
async function assertTold(
  node: TestNode,
  kind: BypassKind,
  end: string,
  count = 1,
): Promise<void> {
  let text = "";
  await until(`${kind} is told: ${count}`, async () => {
    text = await fetchHealth("/readyz");
    const metrics = await fetchHealth("/metrics");
    return text.split("\n").some((it) => it.endsWith(end)) === (count > 0) &&
      metrics.split("\n").includes(`calyx_bypass{kind="${kind}"} ${count}`);
  }, () => `${text}; the agent's log:\n${node.agent.log}`);
  assert(text.startsWith("ok\n"), text);
}

/** How many log lines report this kind, as begun or as ended. */
function linesOf(node: TestNode, kind: BypassKind): number {
  return node.agent.log.split("\n").filter((it) =>
    it.includes("bypasses policy") && it.includes(`"${kind}"`)
  ).length;
}

const hostName = (pod: TestPod): string => interfaceNameOf("default", pod.name);

programTest("calyx-agent tells what takes packets off pods' interfaces", ["ip", "tc"], async () => {
  requireIsolation();
  await using node = await startNode();
  const [a, b] = [await node.addPod("a"), await node.addPod("b")];
  using servers = new PodServers();
  servers.tcp(b.namespace, 80);
  await node.createPolicy("closed", closed("b"));
  await assertBecomes("timeout", () => ask(a, b.addresses[0] ?? ""));
  assertEquals(await fetchHealth("/readyz"), "ok\n");

  run(`tc qdisc add dev ${hostName(a)} clsact`);
  run(`tc filter add dev ${hostName(a)} egress bpf bytecode`, "1,6 0 0 0");
  await assertTold(node, "tc_filter", `: ${hostName(a)} (bpf)`);
  run(`tc qdisc del dev ${hostName(a)} clsact`);
  await assertTold(node, "tc_filter", `: ${hostName(a)} (bpf)`, 0);

  // What b would have to send itself: a's packets go to it straight, and policy says what it likes.
  const [inner] = JSON.parse(run(`ip -n ${b.netnsName} -j link show eth0`));
  run(`ip -n ${a.netnsName} neigh replace 169.254.1.1 dev eth0 lladdr ${inner.address}`);
  run(`tc qdisc add dev ${hostName(a)} ingress`);
  run(
    `tc filter add dev ${hostName(a)} parent ffff: protocol ip u32 match u32 0 0 ` +
      `action mirred egress redirect dev ${hostName(b)}`,
  );
  await assertBecomes("open", () => ask(a, b.addresses[0] ?? ""));
  await assertTold(node, "tc_filter", `: ${hostName(a)} (u32)`);
  run(`tc qdisc del dev ${hostName(a)} ingress`);
  await assertTold(node, "tc_filter", `: ${hostName(a)} (u32)`, 0);
  assertEquals(linesOf(node, "tc_filter"), 4);

  // As the bandwidth plugin shapes what a pod sends; ifb gives the packets back.
  if (does("ip link add ifb7 type ifb")) {
    run("ip link set ifb7 up");
    run(`tc qdisc add dev ${hostName(b)} ingress`);
    run(
      `tc filter add dev ${hostName(b)} parent ffff: protocol all u32 match u32 0 0 ` +
        "action mirred egress redirect dev ifb7",
    );
  }
  using route = openNetlinkSocket(NETLINK_ROUTE);
  using program = loadXdpProgram();
  const [link] = route.request(getLink({ name: hostName(b) })).map(parseLink);
  const attach = (programFd: number): unknown =>
    route.request(request(SETLINK, {
      header: { index: link?.index ?? 0 },
      attributes: { xdp: { programFd } },
    }));
  attach(program.fd);
  await assertTold(node, "xdp", `: ${hostName(b)}`);
  assert(!(await fetchHealth("/readyz")).includes("tc on pods'"), "a shaper is no bypass");
  attach(-1);
  await assertTold(node, "xdp", `: ${hostName(b)}`, 0);
});

programTest(
  "calyx-agent tells of other engines, and of forwarding that is off",
  ["nft"],
  async () => {
    requireIsolation();
    nft("add table ip filter; add chain ip filter cali-FORWARD; add table ip calico");
    nft("add table ip raw; add chain ip raw cali-PREROUTING");
    await using node = await startNode();
    await assertTold(
      node,
      "other_engine",
      ": Calico (table ip calico), Calico (table ip filter), Calico (table ip raw)",
      3,
    );
    nft("delete table ip filter; delete table ip calico; delete table ip raw");
    await assertTold(node, "other_engine", "(table ip filter)", 0);
    await node.addPod("a");
    // It is put back, where that can be.
    const isOn = (): boolean => readSysctl("net/ipv4/ip_forward") === "1";
    writeSysctl("net/ipv4/ip_forward", "0");
    await until("the node forwards again", isOn, () => node.agent.log);
    const told = "Another process set net.ipv4.ip_forward to 0, and it was set back to 1: 1 times";
    assert((await fetchHealth("/readyz")).includes(told));
    node.agent.kill("SIGSTOP");
    writeSysctl("net/ipv4/ip_forward", "0");
    run("mount --bind -o ro /proc/sys /proc/sys");
    try {
      node.agent.kill("SIGCONT");
      await assertTold(node, "forwarding_off", ": net.ipv4.ip_forward");
    } finally {
      run("umount /proc/sys");
    }
    await until("the node forwards again", isOn, () => node.agent.log);
    await assertTold(node, "forwarding_off", ": net.ipv4.ip_forward", 0);
  },
);

programTest(
  "calyx-agent tells of pods that no interface of the node leads to",
  ["ip"],
  async () => {
    requireIsolation();
    await using node = await startNode();
    run("ip link add lan0 type veth peer name lan1");
    for (const name of ["lan0", "lan1"]) run(`ip link set ${name} up`);
    run("ip address add 192.0.2.1/24 dev lan0");
    await node.createPod("lan");
    using pod = new TestPod("default", "lan");
    run(`ip link add link lan1 name mac0 type macvlan mode bridge`);
    run(`ip link set mac0 netns ${pod.netnsName}`);
    run(`ip -n ${pod.netnsName} address add 198.51.100.5/24 dev mac0`);
    run(`ip -n ${pod.netnsName} link set mac0 up`);
    await node.setPodAddresses("lan", ["198.51.100.5"]);
    await assertTold(node, "past_node", ": default/lan (198.51.100.5 no way)");
    run("ip route add default via 192.0.2.2");
    await assertTold(node, "past_node", ": default/lan (198.51.100.5 by lan0)");
    run("ip link del lan0");
  },
);

/** A pod as the bridge plugin attaches it, at 10.99.0.`host`. */
async function addBridgedPod(node: TestNode, name: string, host: number): Promise<TestPod> {
  await node.createPod(name);
  const pod = new TestPod("default", name);
  run(`ip link add ${name}0 type veth peer name eth0 netns ${pod.netnsName}`);
  run(`ip link set ${name}0 master cni0 up`);
  run(`ip -n ${pod.netnsName} address add 10.99.0.${host}/24 dev eth0`);
  run(`ip -n ${pod.netnsName} link set eth0 up`);
  await node.setPodAddresses(name, [`10.99.0.${host}`]);
  return pod;
}

function missingBridgeHooks(): string | undefined {
  try {
    Deno.statSync("/proc/sys/net/bridge/bridge-nf-call-iptables");
  } catch {
    return "this kernel has no br_netfilter (module br_netfilter)";
  }
  return missingProgram(["ip"]);
}

skippableTest(
  "pods on a bridge are governed where br_netfilter says so, and told of else",
  missingBridgeHooks(),
  async () => {
    requireIsolation();
    await using node = await startNode();
    run("ip link add cni0 type bridge");
    run("ip address add 10.99.0.1/24 dev cni0");
    run("ip link set cni0 up");
    using server = await addBridgedPod(node, "server", 2);
    using client = await addBridgedPod(node, "client", 3);
    using servers = new PodServers();
    servers.tcp(server.namespace, 80);
    await node.createPolicy("closed", closed("server"));
    const hooks = (value: 0 | 1): void => {
      for (const name of ["iptables", "ip6tables"]) {
        writeSysctl(`net/bridge/bridge-nf-call-${name}`, `${value}`);
      }
    };
    const ask80 = () => ask(client, "10.99.0.2");
    const end = ": default/client (10.99.0.3 cni0), default/server (10.99.0.2 cni0)";
    try {
      hooks(1);
      await assertBecomes("timeout", ask80);
      await assertTold(node, "bridged", end, 0);
      hooks(0);
      await assertBecomes("open", ask80);
      await assertTold(node, "bridged", end, 2);
      run("ip link set cni0 type bridge nf_call_iptables 1");
      await assertBecomes("timeout", ask80);
      await assertTold(node, "bridged", end, 0);
    } finally {
      hooks(1);
      run("ip link del cni0");
    }
  },
);

/** Where a pod's interface is a port of another: what it sends does not come by it any more. */
async function testMaster(kind: string, add: string, more: (a: TestPod) => void): Promise<void> {
  requireIsolation();
  for (const checks of ["disabled", "any"]) {
    await using node = await startNode({ CALYX_WORKLOAD_SOURCE_SPOOFING: checks });
    const [a, b] = [await node.addPod("a"), await node.addPod("b")];
    const [to = "", from = ""] = [b.addresses[0], a.addresses[0]];
    using servers = new PodServers();
    servers.tcp(b.namespace, 80);
    servers.tcp(a.namespace, 80);
    await node.createPolicy("closed", { ...closed("a"), policyTypes: ["Ingress", "Egress"] });
    await assertBecomes("timeout", () => ask(a, to));
    run(add);
    run("ip link set master0 up");
    run(`ip link set ${hostName(a)} master master0`);
    more(a);
    // A VRF takes routes and neighbours away.
    const [inner] = JSON.parse(run(`ip -n ${a.netnsName} -j link show eth0`));
    run(`ip route replace ${from} dev ${hostName(a)}`);
    run(`ip neigh replace ${from} lladdr ${inner.address} dev ${hostName(a)} nud permanent`);
    try {
      await assertTold(node, "master", `: ${hostName(a)} (${kind} master0)`);
      // With the check of sources: closed. Without: what it sends is judged no more.
      await assertBecomes(checks === "any" ? "open" : "timeout", () => ask(a, to));
      await assertBecomes("timeout", () => ask(b, from));
    } finally {
      run("ip link del master0");
    }
  }
}

programTest("a pod's interface in a bridge is told of, and what it sends as itself dropped", [
  "ip",
], async () => {
  await testMaster("bridge", "ip link add master0 type bridge", () => {});
});

function missingVrf(): string | undefined {
  const missing = missingProgram(["ip"]);
  if (missing !== undefined) return missing;
  if (!does("ip link add vrf9 type vrf table 99")) return "this kernel has no VRF (module vrf)";
  run("ip link del vrf9");
  return undefined;
}

skippableTest(
  "a pod's interface in a VRF is told of, and what it sends as itself dropped",
  missingVrf(),
  async () => {
    await testMaster("vrf", "ip link add master0 type vrf table 99", () => {
      run(`ip route add default dev ${interfaceNameOf("default", "b")} table 99`);
    });
  },
);

function missingFlowTables(): string | undefined {
  const missing = missingProgram(["nft"]);
  if (missing !== undefined) return missing;
  const add = "add table inet feature; add flowtable inet feature ft " +
    "{ hook ingress priority 0; devices = { lo }; }";
  const { success } = new Deno.Command("nft", { args: [add] }).outputSync();
  new Deno.Command("nft", { args: ["delete", "table", "inet", "feature"] }).outputSync();
  return success ? undefined : "this kernel has no flow tables (module nf_flow_table)";
}

skippableTest(
  "calyx-agent tells of flow tables, whose flows no change of policy cuts",
  missingFlowTables(),
  async () => {
    requireIsolation();
    await using node = await startNode();
    const [a, b] = [await node.addPod("a"), await node.addPod("b")];
    const address = b.addresses[0] ?? "";
    using servers = new PodServers();
    servers.tcp(b.namespace, 80);
    nft(
      `add table inet fast; add flowtable inet fast ft { hook ingress priority 0; devices = { ` +
        `${hostName(a)}, ${hostName(b)} }; }; add chain inet fast forward ` +
        `{ type filter hook forward priority 100; }`,
    );
    using netfilter = openNetlinkSocket(NETLINK_NETFILTER);
    const useCounts = (): readonly number[] =>
      netfilter.dump(dumpFlowTables()).map((it) => parseFlowTable(it).useCount);
    assertEquals(useCounts(), [0]);
    nft("add rule inet fast forward meta l4proto tcp flow add @ft");
    assertEquals(useCounts(), [1]);
    const flow = await TestFlow.open({
      ...{ name: "offloaded", namespace: a.namespace, protocol: "TCP", address, port: 80 },
    });
    try {
      const devices = [hostName(a), hostName(b)].sort().join(", ");
      await assertTold(node, "flow_table", `inet fast ft (${devices})`);
      await until("the flow is under way", () => flow.received > 10);
      await node.createPolicy("closed", closed("b"));
      await assertBecomes("timeout", () => ask(a, address));
      await sleep(3_000); // in which any other flow is cut
      const before = flow.received;
      await until("it goes on", () => flow.received > before + 10);
    } finally {
      flow[Symbol.dispose]();
      nft("delete table inet fast");
    }
  },
);

const SOL_IP = 0;
const IP_TRANSPARENT = 19;
/** An address of the node. */
const PROXY = "192.0.2.77";

/** A datagram that the node sends with another's address, as a transparent proxy does. */
function sendAs(source: string, address: string, port: number): void {
  const fd = check("open socket", libc().socket(2, /* AF_INET */ 2, /* SOCK_DGRAM */ 0));
  using _socket = new Descriptor(fd);
  const on: Bytes = new Uint8Array(new Int32Array([1]).buffer);
  check("set IP_TRANSPARENT", libc().setsockopt(fd, SOL_IP, IP_TRANSPARENT, on, on.length));
  const [from, to] = [
    socketAddress(Address.parse(source), 0), // of any port: each is a flow of its own
    socketAddress(Address.parse(address), port),
  ];
  check("bind socket", libc().bind(fd, from, from.length));
  const payload: Bytes = new Uint8Array(4);
  libc().sendto(fd, payload, 4n, 0, to, to.length); // what policy drops is EPERM
}

Deno.test("what a proxy on the node sends with a pod's address is judged with --ipvs on", async () => {
  requireIsolation();
  for (const ipvs of ["off", "on"]) {
    await using node = await startNode({ CALYX_IPVS: ipvs });
    const [a, b] = [await node.addPod("a"), await node.addPod("b")];
    const [source = "", address = ""] = [a.addresses[0], b.addresses[0]];
    using server = new PushServer(b.namespace, 80, 5_000);
    const arrives = async (): Promise<boolean> => {
      const before = server.received;
      sendAs(source, address, 5_000);
      await sleep(500);
      return server.received > before;
    };
    await until("it arrives while no policy is there", arrives);
    for (const spec of [closed("b"), { ...closed("a"), policyTypes: ["Egress"] }]) {
      await node.createPolicy("closed", spec);
      if (ipvs === "on") await until("it is dropped", async () => !await arrives());
      else {
        await until(
          "the policy is in force",
          () => nft("list table inet calyx").includes("chain policy-"),
        );
        await until("it arrives all the same", arrives);
      }
      await node.deletePolicy("closed");
      await until("it arrives again", arrives);
    }
  }
});

programTest("what is redirected to a proxy on the node is no matter of NetworkPolicy", [
  "nft",
], async () => {
  requireIsolation();
  await using node = await startNode({ CALYX_IPVS: "on" });
  const [a, b] = [await node.addPod("a"), await node.addPod("b")];
  const to = b.addresses[0] ?? "";
  using servers = new PodServers();
  servers.tcp(b.namespace, 80);
  await node.createPolicy("closed", { ...closed("a"), policyTypes: ["Egress"] });
  await assertBecomes("timeout", () => ask(a, to));
  using own = openCurrentNamespace();
  servers.tcp(own, 15_001);
  // Not "redirect to": that takes an address of the interface, of which the pods' have none.
  await node.setAddresses([PROXY]);
  nft(
    "add table ip mesh; add chain ip mesh prerouting { type nat hook prerouting priority dstnat; }; " +
      `add rule ip mesh prerouting iifname "cali*" tcp dport 80 dnat to ${PROXY}:15001`,
  );
  try {
    await assertBecomes("open", () => ask(a, to));
    assertEquals(await ask({ namespace: own }, to), "open");
  } finally {
    nft("delete table ip mesh");
  }
});
