import { assertEquals } from "@std/assert";
import { Address } from "../lib/ip/address.ts";
import type { DesiredEndpoint } from "../lib/model/desired.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import { NFPROTO_INET, NFPROTO_IPV4 } from "../lib/netlink/nftables/message.ts";
import type { Route } from "../lib/netlink/route/route.ts";
import { addressesElsewhere, type BypassFacts, findBypasses, formatBypass } from "./bypass.ts";

function link(index: number, name: string, kind?: string, rest: Partial<Link> = {}): Link {
  return { index, name, kind, bridgeHooks: [], hasXdp: false, ...rest } as unknown as Link;
}

function linksOf(...links: readonly Link[]): ReadonlyMap<number, Link> {
  return new Map(links.map((it) => [it.index, it]));
}

function pod(workload: string, address: string, interfaceName?: string): DesiredEndpoint {
  return {
    interfaceName,
    workload,
    addresses: [Address.parse(address)],
    attachedAddresses: [],
  } as unknown as DesiredEndpoint;
}

function route(index: number, gateway?: string): Route {
  return { family: 4, index, gateway: gateway && Address.parse(gateway) } as unknown as Route;
}

const NOTHING: BypassFacts = {
  interfacePrefix: "cali",
  links: new Map(),
  flowTables: [],
  filters: new Map(),
  endpoints: [],
  routes: new Map(),
  engines: [],
  forwarded: new Set([4, 6]),
  bridgeHooks: new Set(),
};
const CALI = link(2, "cali1", "veth");
const BRIDGE = link(3, "cni0", "bridge");
const OTHER = pod("x/a", "10.0.0.5");

const CASES: Readonly<Record<string, readonly [Partial<BypassFacts>, Record<string, string[]>]>> = {
  "nothing": [{}, {}],
  "a flow table that rules use": [{
    flowTables: [
      { table: { family: NFPROTO_INET, name: "f" }, name: "ft", devices: ["e0"], useCount: 2 },
      { table: { family: NFPROTO_INET, name: "f" }, name: "idle", devices: ["e0"], useCount: 0 },
    ],
  }, { flow_table: ["inet f ft (e0)"] }],
  "filters on a pod's interface, not on others": [{
    links: linksOf(CALI, link(4, "eth0")),
    filters: new Map([2, 4].map((index) => [index, [
      { kind: "bpf", redirectsTo: undefined },
      { kind: "bpf", redirectsTo: undefined },
    ]])),
  }, { tc_filter: ["cali1 (bpf)"] }],
  "a shaper's filter redirects to an ifb interface": [{
    links: linksOf(CALI, link(5, "bwp1", "ifb")),
    filters: new Map([[2, [{ kind: "u32", redirectsTo: [] }, { kind: "u32", redirectsTo: [5] }]]]),
  }, {}],
  "another redirects to any other": [{
    links: linksOf(CALI, link(5, "bwp1", "ifb"), BRIDGE),
    filters: new Map([[2, [{ kind: "u32", redirectsTo: [5, 3] }]]]),
  }, { tc_filter: ["cali1 (u32)"] }],
  "XDP on a pod's interface, and on the one that leads to another plugin's pod": [{
    links: linksOf(
      link(2, "cali1", "veth", { hasXdp: true }),
      link(6, "veth7", "veth", { hasXdp: true }),
      link(7, "eth0", undefined, { hasXdp: true }),
    ),
    endpoints: [OTHER],
    routes: new Map([["10.0.0.5", route(6)]]),
  }, { xdp: ["cali1", "veth7"] }],
  "a pod's interface in a bridge": [{
    links: linksOf(link(2, "cali1", "veth", { master: 3 }), BRIDGE),
  }, { master: ["cali1 (bridge cni0)"] }],
  "pods on a bridge without br_netfilter": [{
    links: linksOf(BRIDGE),
    endpoints: [OTHER],
    routes: new Map([["10.0.0.5", route(3)]]),
  }, { bridged: ["x/a (10.0.0.5 cni0)"] }],
  "pods on a bridge with it": [{
    links: linksOf(BRIDGE),
    endpoints: [OTHER],
    routes: new Map([["10.0.0.5", route(3)]]),
    bridgeHooks: new Set([4]),
  }, {}],
  "pods on a bridge that has it for itself": [{
    links: linksOf(link(3, "cni0", "bridge", { bridgeHooks: [4] })),
    endpoints: [OTHER],
    routes: new Map([["10.0.0.5", route(3)]]),
  }, {}],
  "pods to which no interface leads": [{
    links: linksOf(link(4, "eth0"), link(6, "veth7", "veth")),
    endpoints: [
      pod("x/lan", "10.0.0.5"),
      pod("x/gateway", "10.0.0.6"),
      pod("x/nowhere", "10.0.0.7"),
      pod("x/unknown", "10.0.0.8"),
      pod("x/veth", "10.0.0.9"),
    ],
    routes: new Map([
      ["10.0.0.5", route(4)],
      ["10.0.0.6", route(6, "192.0.2.1")],
      ["10.0.0.7", undefined],
      ["10.0.0.9", route(6)],
    ]),
  }, {
    past_node: [
      "x/gateway (10.0.0.6 by veth7)",
      "x/lan (10.0.0.5 by eth0)",
      "x/nowhere (10.0.0.7 no way)",
    ],
  }],
  "another engine": [
    { engines: [{ name: "Calico", table: { family: NFPROTO_IPV4, name: "filter" } }] },
    { other_engine: ["Calico (table ip filter)"] },
  ],
  "no forwarding, of families that pods have": [
    { endpoints: [OTHER], forwarded: new Set() },
    { forwarding_off: ["net.ipv4.ip_forward"] },
  ],
};

for (const [name, [facts, expected]] of Object.entries(CASES)) {
  Deno.test(`findBypasses() finds: ${name}`, () => {
    assertEquals(Object.fromEntries(findBypasses({ ...NOTHING, ...facts })), expected);
  });
}

Deno.test("addressesElsewhere() are those of pods without an interface of ours", () => {
  const endpoints: DesiredEndpoint[] = [
    pod("x/open", "10.0.0.1", "cali1"),
    pod("x/other", "10.0.0.2", "cali2"),
    pod("x/another", "10.0.0.3"),
    { ...pod("x/gone", "10.0.0.4", "cali4"), attachedAddresses: [Address.parse("10.0.0.4")] },
  ];
  assertEquals(addressesElsewhere({ endpoints, links: linksOf(CALI) }), ["10.0.0.2", "10.0.0.3"]);
});

Deno.test("formatBypass() names a few, and counts the rest", () => {
  const names = Array.from({ length: 8 }, (_, index) => `cali${index}`);
  const text = formatBypass("xdp", names);
  assertEquals(text.slice(text.indexOf(":")), ": cali0, cali1, cali2, cali3, cali4, 3 more");
});
