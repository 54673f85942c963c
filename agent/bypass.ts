/**
 * What policy does not see, judged from what is on the node: ways by which pods' packets pass without
 * crossing the forward hook, others who decide about the same packets, and forwarding that is off.
 * Nothing is done about it here; people are told. {@link ./bypass_watch.ts} looks.
 */

import { FAMILIES, type Family } from "../lib/ip/address.ts";
import type { DesiredEndpoint } from "../lib/model/desired.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import type { FlowTable } from "../lib/netlink/nftables/flow_table.ts";
import { formatTable, type TableReference } from "../lib/netlink/nftables/message.ts";
import type { Route } from "../lib/netlink/route/route.ts";
import type { Filter } from "../lib/netlink/traffic/traffic.ts";

/** Every kind, with the sentence that its things follow. */
const SENTENCES = {
  flow_table:
    "Flow tables of others may carry pods' packets past policy, so that no change cuts open flows",
  tc_filter: "Filters of tc on pods' interfaces may redirect packets past policy",
  xdp: "XDP programs on pods' interfaces may redirect packets past policy",
  master:
    "Pods' interfaces are ports of others: what their pods send is dropped, unless it claims " +
    "an address that is no attached pod's; that passes",
  bridged: "Pods on a bridge reach each other there without policy; load br_netfilter and set " +
    "net.bridge.bridge-nf-call-iptables and -ip6tables to 1",
  past_node: "Pods of this node to which no interface of it leads are not governed",
  other_engine:
    "Another policy engine's chains decide as well: what they drop, no policy here allows",
  forwarding_off: "This node forwards nothing to or from its pods; set to 1",
} as const;

/** The kinds of bypass, as the metric's label names them. */
export type BypassKind = keyof typeof SENTENCES;
export const BYPASS_KINDS = Object.keys(SENTENCES) as readonly BypassKind[];

/** The names found of each kind; a kind without any is absent. */
export type Bypasses = ReadonlyMap<BypassKind, readonly string[]>;

/** The node's state, as far as bypasses show in it. */
export interface BypassFacts {
  /** Prefix of the pods' interfaces. */
  readonly interfacePrefix: string;
  /** By index. */
  readonly links: ReadonlyMap<number, Link>;
  readonly flowTables: readonly FlowTable[];
  /** By the index of their interface. */
  readonly filters: ReadonlyMap<number, readonly Filter[]>;
  /** Pods of this node. */
  readonly endpoints: readonly DesiredEndpoint[];
  /** The route to an address of a pod without an interface of ours; `undefined`: there is none. */
  readonly routes: ReadonlyMap<string, Route | undefined>;
  readonly engines: readonly PolicyEngine[];
  /** Families that the node forwards. */
  readonly forwarded: ReadonlySet<Family>;
  /** Families whose bridged packets meet the hooks of IP on every bridge. */
  readonly bridgeHooks: ReadonlySet<Family>;
}

/** Another policy engine, and the table that reveals it. */
export interface PolicyEngine {
  readonly name: string;
  readonly table: TableReference;
}

/** Kinds of links behind which there are pods whose packets cross the node's stack. */
const POD_LINK_KINDS: readonly (string | undefined)[] = ["veth", "bridge", "netkit", "tun"];
/** A shaper redirects incoming packets to an `ifb` link, which returns them to where they came from. */
const SHAPING_LINK_KIND = "ifb";
const NAMES_SHOWN_MAX = 5;

/** Finds the ways past policy among the node's links, filters, tables, chains and sysctls. */
export function findBypasses(facts: BypassFacts): Bypasses {
  const pods = podLinks(facts);
  const found: Readonly<Record<BypassKind, readonly string[]>> = {
    flow_table: facts.flowTables.filter((it) => it.useCount > 0).map(formatFlowTable),
    tc_filter: pods.flatMap((it) => filtersOn(it, facts)),
    xdp: pods.filter((it) => it.hasXdp).map((it) => it.name),
    master: pods.flatMap((it) => masterOf(it, facts)),
    bridged: bridgedPods(facts),
    past_node: podsPastNode(facts),
    other_engine: facts.engines.map((it) => `${it.name} (table ${formatTable(it.table)})`),
    forwarding_off: FAMILIES.filter((it) => isForwardingMissed(it, facts)).map((it) =>
      it === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding"
    ),
  };
  return new Map(
    BYPASS_KINDS.map((kind) => [kind, [...new Set(found[kind])].sort()] as const)
      .filter(([, names]) => names.length > 0),
  );
}

/** Formats the bypasses of one kind as a sentence for `/readyz` and the log. */
export function formatBypass(kind: BypassKind, names: readonly string[]): string {
  return `${SENTENCES[kind]}: ${formatNames(names)}`;
}

function formatNames(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN_MAX;
  return names.slice(0, NAMES_SHOWN_MAX).concat(more > 0 ? [`${more} more`] : []).join(", ");
}

/**
 * Addresses of the pods without an interface of ours: the caller looks their routes up. A pod that the
 * plugin attached is never among them, even if its interface is gone.
 */
export function addressesElsewhere(
  { endpoints, links }: Pick<BypassFacts, "endpoints" | "links">,
): readonly string[] {
  const names = new Set([...links.values()].map((it) => it.name));
  return endpoints
    .filter((it) => it.attachedAddresses.length === 0 && !names.has(it.interfaceName ?? ""))
    .flatMap((it) => it.addresses.map(String));
}

/** The pods' interfaces: those of our prefix, and those of other plugins that lead to one pod each. */
function podLinks({ links, routes, interfacePrefix }: BypassFacts): readonly Link[] {
  const leading = new Set([...routes.values()].map((it) => it?.gateway ? undefined : it?.index));
  return [...links.values()].filter((it) =>
    it.name.startsWith(interfacePrefix) || leading.has(it.index) && it.kind === "veth"
  );
}

function formatFlowTable({ table, name, devices }: FlowTable): string {
  return `${formatTable(table)} ${name} (${formatNames([...devices].sort())})`;
}

function filtersOn({ index, name }: Link, { filters, links }: BypassFacts): readonly string[] {
  const kinds = (filters.get(index) ?? [])
    .filter(({ redirectsTo }) =>
      redirectsTo === undefined ||
      redirectsTo.some((it) => links.get(it)?.kind !== SHAPING_LINK_KIND)
    )
    .map((it) => it.kind);
  return kinds.length === 0 ? [] : [`${name} (${[...new Set(kinds)].join(", ")})`];
}

/** A pod that another plugin attached is found by its address: a VRF does not hide it. */
function masterOf(
  { name, master }: Link,
  { links, interfacePrefix }: BypassFacts,
): readonly string[] {
  if (master === undefined || !name.startsWith(interfacePrefix)) return [];
  const link = links.get(master);
  return [`${name} (${link?.kind ?? "link"} ${link?.name ?? master})`];
}

function bridgedPods(facts: BypassFacts): readonly string[] {
  const { links, routes, bridgeHooks } = facts;
  return namePods(facts, (address) => {
    const route = routes.get(address);
    const link = links.get(route?.index ?? 0);
    if (route === undefined || route.gateway !== undefined || link?.kind !== "bridge") return;
    if (bridgeHooks.has(route.family) || link.bridgeHooks.includes(route.family)) return;
    return link.name;
  });
}

function podsPastNode(facts: BypassFacts): readonly string[] {
  const { links, routes } = facts;
  return namePods(facts, (address) => {
    if (!routes.has(address)) return;
    const route = routes.get(address);
    if (route === undefined) return "no way";
    const link = links.get(route.index ?? 0);
    if (route.gateway === undefined && POD_LINK_KINDS.includes(link?.kind)) return;
    return `by ${link?.name ?? "several links"}`;
  });
}

/** Pods with an address of which `reason` says something, which follows the address. */
function namePods(
  { endpoints }: BypassFacts,
  reason: (address: string) => string | undefined,
): readonly string[] {
  return endpoints.flatMap(({ workload, addresses }) => {
    const reasons = addresses.map(String).flatMap((address) => {
      const text = reason(address);
      return text === undefined ? [] : [`${address} ${text}`];
    });
    return reasons.length === 0 ? [] : [`${workload} (${reasons.join(", ")})`];
  });
}

function isForwardingMissed(family: Family, { forwarded, endpoints }: BypassFacts): boolean {
  return !forwarded.has(family) &&
    endpoints.some((it) => it.addresses.some((address) => address.family === family));
}
