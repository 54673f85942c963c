import { assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import {
  linkLocalOf,
  planSandbox,
  type PodNetwork,
  resultOf,
  routesOf,
  type Step,
} from "./plan.ts";

const POD_NETWORK: PodNetwork = {
  hostName: "cali1",
  alias: "calyx/net1/c1/eth0",
  podName: "eth0",
  podLinkAddress: "02:00:00:00:00:01",
  netns: "/run/netns/a",
  mtu: 1450,
  addresses: [Address.parse("10.1.0.5"), Address.parse("fd00::5")],
  subnetGateways: new Map(),
  routes: [],
  includeDefaultRoutes: false,
  allowIpForwarding: false,
  dns: {},
};

function formatStep(step: Step): string {
  switch (step.kind) {
    case "pair":
      return `pair ${step.hostName} ${step.hostLinkAddress} ${step.podName} ${step.podLinkAddress} ${step.mtu}`;
    case "alias":
      return `alias ${step.text}`;
    case "noArp":
      return "host learns no neighbours";
    case "sysctl":
      return `${step.side} ${step.key}=${step.value}${step.optional ? " if there" : ""}`;
    case "up":
      return `${step.side} up ${step.link}`;
    case "address":
      return `pod address ${step.prefix}`;
    case "neighbour":
      return `${step.side} neighbour ${step.address} ${step.linkAddress}`;
    case "route":
      return `${step.side} route ${step.destination} via ${step.gateway}`;
  }
}

Deno.test("planSandbox() wires up a pod of both families", () => {
  assertEquals(planSandbox(POD_NETWORK).map(formatStep), [
    "pair cali1 ee:ee:ee:ee:ee:ee eth0 02:00:00:00:00:01 1450",
    "alias calyx/net1/c1/eth0",
    "host learns no neighbours",
    "host net/ipv4/ip_forward=1",
    "host net/ipv6/conf/all/forwarding=1",
    "host net/ipv4/conf/cali1/forwarding=1",
    "host net/ipv6/conf/cali1/disable_ipv6=0",
    "host net/ipv6/conf/cali1/addr_gen_mode=1",
    "host net/ipv6/conf/cali1/accept_ra=0",
    "host net/ipv6/conf/cali1/forwarding=1",
    "pod net/ipv4/ip_forward=0",
    "pod net/ipv6/conf/all/forwarding=0",
    "pod net/ipv6/conf/all/disable_ipv6=0",
    "pod net/ipv6/conf/eth0/disable_ipv6=0",
    "pod net/ipv6/conf/lo/disable_ipv6=0",
    "pod net/ipv6/conf/eth0/accept_dad=0",
    "pod up loopback",
    "pod up pair",
    "pod address 10.1.0.5/32",
    "pod address fd00::5/128",
    "pod neighbour 169.254.1.1 ee:ee:ee:ee:ee:ee",
    "pod route 169.254.1.1/32 via undefined",
    "pod neighbour fe80::ecee:eeff:feee:eeee ee:ee:ee:ee:ee:ee",
    "pod route 0.0.0.0/0 via 169.254.1.1",
    "pod route ::/0 via fe80::ecee:eeff:feee:eeee",
    "host up pair",
    "host neighbour 10.1.0.5 02:00:00:00:00:01",
    "host route 10.1.0.5/32 via undefined",
    "host neighbour fd00::5 02:00:00:00:00:01",
    "host route fd00::5/128 via undefined",
  ]);
});

Deno.test("planSandbox() gets by without IPv6 in the kernel when the pod has none", () => {
  const steps = planSandbox({ ...POD_NETWORK, addresses: POD_NETWORK.addresses.slice(0, 1) });
  const needed = steps.filter((it) => it.kind === "sysctl" && !it.optional).map(formatStep);
  assertEquals(needed.filter((it) => it.includes("ipv6")), []);
  assertEquals(steps.filter((it) => formatStep(it).includes("fe80")), []);
  assertEquals(
    steps.filter((it) => formatStep(it).includes("disable_ipv6")),
    [],
    "as the node has it",
  );
});

Deno.test("planSandbox() lets the pod forward only where that is wanted", () => {
  const steps = planSandbox({ ...POD_NETWORK, allowIpForwarding: true }).map(formatStep);
  assertEquals(steps.filter((it) => it.startsWith("pod net/") && it.endsWith("=1")), [
    "pod net/ipv4/ip_forward=1",
    "pod net/ipv6/conf/all/forwarding=1",
  ]);
});

Deno.test("routesOf() takes the routes of IPAM for the defaults of their family", () => {
  const given = { dst: Prefix.parse("10.0.0.0/8"), gw: Address.parse("10.1.0.1"), priority: 5 };
  const format = (podNetwork: PodNetwork): string[] =>
    routesOf(podNetwork).map((it) => `${it.dst} ${it.gw} ${it.priority}`);
  const specific = "10.0.0.0/8 169.254.1.1 5";
  const default4 = "0.0.0.0/0 169.254.1.1 undefined";
  const default6 = "::/0 fe80::ecee:eeff:feee:eeee undefined";
  const podNetwork = { ...POD_NETWORK, routes: [given] };
  assertEquals(format(podNetwork), [specific, default6]);
  assertEquals(format({ ...podNetwork, includeDefaultRoutes: true }), [
    specific,
    default4,
    default6,
  ]);
  const all = {
    ...POD_NETWORK,
    routes: [{ dst: Prefix.parse("0.0.0.0/0") }],
    includeDefaultRoutes: true,
  };
  assertEquals(format(all), [default4, default6]);
});

Deno.test("resultOf() names both ends, and the pod's as the one with the addresses", () => {
  const result = resultOf({ ...POD_NETWORK, dns: { domain: "cluster.local" } });
  assertEquals(result.interfaces, [
    { name: "cali1", mac: "ee:ee:ee:ee:ee:ee", mtu: 1450 },
    { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1450, sandbox: "/run/netns/a" },
  ]);
  assertEquals(result.ips.map((it) => `${it.address} ${it.interface}`), [
    "10.1.0.5/32 1",
    "fd00::5/128 1",
  ]);
  assertEquals(result.dns, { domain: "cluster.local" });
});

Deno.test("resultOf() names the gateways of subnets that IPAM named", () => {
  const gateway = Address.parse("10.1.0.1");
  const subnetGateways = new Map(POD_NETWORK.addresses.slice(0, 1).map((it) => [it, gateway]));
  const { ips, routes } = resultOf({ ...POD_NETWORK, subnetGateways });
  const vias = routes.map((it) => `${it.gw}`);
  assertEquals(ips.map((it) => `${it.gateway}`), ["10.1.0.1", "undefined"]);
  assertEquals(vias, ["169.254.1.1", "fe80::ecee:eeff:feee:eeee"]);
});

Deno.test("linkLocalOf() is the modified EUI-64 of RFC 4291", () => {
  assertEquals(`${linkLocalOf("ee:ee:ee:ee:ee:ee")}`, "fe80::ecee:eeff:feee:eeee");
  assertEquals(`${linkLocalOf("34:56:78:9a:bc:de")}`, "fe80::3656:78ff:fe9a:bcde");
});
