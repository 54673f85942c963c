/**
 * Looks for what policy does not see ({@link ./bypass.ts}), when the agent starts and now and then, and
 * says what comes and goes. Of other tables it reads names, never rules.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { Logger } from "../lib/base/log.ts";
import { Address, FAMILIES, type Family } from "../lib/ip/address.ts";
import { KernelError } from "../lib/kernel/errno.ts";
import { readSysctl } from "../lib/kernel/sysctl.ts";
import type { DesiredEndpoint } from "../lib/model/desired.ts";
import { isNotFound, NetlinkError } from "../lib/netlink/error.ts";
import { dumpLinks, parseLink } from "../lib/netlink/link/link.ts";
import type { RawMessage, Request } from "../lib/netlink/message.ts";
import { getChain } from "../lib/netlink/nftables/chain.ts";
import {
  dumpFlowTables,
  type FlowTable,
  parseFlowTable,
} from "../lib/netlink/nftables/flow_table.ts";
import { dumpTables, parseTable } from "../lib/netlink/nftables/table.ts";
import { lookUpRoute, parseRoute, type Route } from "../lib/netlink/route/route.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import { PARENT_EGRESS, PARENT_INGRESS } from "../lib/netlink/traffic/message.ts";
import {
  dumpFilters,
  dumpQdiscs,
  type Filter,
  parseFilter,
  parseQdisc,
} from "../lib/netlink/traffic/traffic.ts";
import {
  addressesElsewhere,
  BYPASS_KINDS,
  type Bypasses,
  type BypassFacts,
  type BypassKind,
  findBypasses,
  formatBypass,
  type PolicyEngine,
} from "./bypass.ts";

/** The sockets that it reads by, and the callback for changes. */
export interface BypassWatchOptions {
  readonly interfacePrefix: string;
  readonly endpoints: () => readonly DesiredEndpoint[];
  /** NETLINK_ROUTE and NETLINK_NETFILTER. */
  readonly route: NetlinkSocket;
  readonly netfilter: NetlinkSocket;
  readonly logger: Logger;
  readonly clock?: Clock;
}

const INTERVAL_MS = 10_000;
/** Qdiscs that carry filters at an interface's ingress; `clsact` at its egress, too. */
const FILTER_PARENTS: Readonly<Record<string, readonly number[]>> = {
  ingress: [PARENT_INGRESS],
  clsact: [PARENT_INGRESS, PARENT_EGRESS],
};
/** How other policy engines are recognised: a table of theirs, or a chain in a table that several share. */
const ENGINES = [
  { name: "Calico", table: "filter", chain: "cali-FORWARD" },
  { name: "Calico", table: "filter", chain: "cali-INPUT" },
  { name: "Calico", table: "filter", chain: "cali-OUTPUT" },
  { name: "Calico", table: "mangle", chain: "cali-PREROUTING" },
  { name: "Calico", table: "raw", chain: "cali-PREROUTING" },
  { name: "Calico", table: "calico", chain: undefined },
  { name: "Cilium", table: "filter", chain: "CILIUM_FORWARD" },
  { name: "kube-router", table: "filter", chain: "KUBE-ROUTER-FORWARD" },
  { name: "Weave Net", table: "filter", chain: "WEAVE-NPC" },
  { name: "kube-network-policies", table: "kube-network-policies", chain: undefined },
] as const;

/** Searches for bypasses periodically and reports changes. */
export class BypassWatch {
  readonly #options: BypassWatchOptions;
  #found: Bypasses = new Map();
  /** Pods without a route at the last look. Only the second look in a row counts: a starting pod has none for a moment. */
  #pastNode: readonly string[] = [];

  constructor(options: BypassWatchOptions) {
    this.#options = options;
  }

  /** How many bypasses of each kind there are. */
  get counts(): Readonly<Record<BypassKind, number>> {
    const counts = BYPASS_KINDS.map((kind) => [kind, this.#found.get(kind)?.length ?? 0]);
    return Object.fromEntries(counts);
  }

  /** One sentence for each kind that was found. */
  get details(): readonly string[] {
    return [...this.#found].map(([kind, names]) => formatBypass(kind, names));
  }

  /** Searches now, and then periodically until `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    const { clock = systemClock } = this.#options;
    this.#look();
    while (!signal.aborted) {
      await clock.sleep(INTERVAL_MS, signal).catch(() => {});
      if (!signal.aborted) this.#look();
    }
  }

  #look(): void {
    const { logger } = this.#options;
    let found: Map<BypassKind, readonly string[]>;
    try {
      found = new Map(findBypasses(readFacts(this.#options)));
    } catch (error) {
      if (!(error instanceof NetlinkError || error instanceof KernelError)) throw error;
      logger.warn("cannot look for traffic that bypasses policy; trying again", { error });
      return;
    }
    const pastNode = found.get("past_node") ?? [];
    const lasting = pastNode.filter((it) => this.#pastNode.includes(it));
    this.#pastNode = pastNode;
    if (lasting.length > 0) found.set("past_node", lasting);
    else found.delete("past_node");
    for (const kind of BYPASS_KINDS) {
      const names = found.get(kind) ?? [];
      if (names.join() === (this.#found.get(kind) ?? []).join()) continue;
      if (names.length === 0) logger.info("traffic no longer bypasses policy", { kind });
      else logger.warn("traffic bypasses policy", { kind, detail: formatBypass(kind, names) });
    }
    this.#found = found;
  }
}

function readFacts(options: BypassWatchOptions): BypassFacts {
  const { interfacePrefix, route, netfilter } = options;
  const endpoints = options.endpoints();
  const links = new Map(route.dump(dumpLinks()).map(parseLink).map((it) => [it.index, it]));
  return {
    interfacePrefix,
    links,
    flowTables: readFlowTables(netfilter),
    filters: readFilters(route),
    endpoints,
    routes: readRoutes(route, addressesElsewhere({ endpoints, links })),
    engines: readEngines(netfilter),
    forwarded: familiesOf((it) => isOn(`net/${it === 4 ? "ipv4" : "ipv6"}/conf/all/forwarding`)),
    bridgeHooks: familiesOf((it) =>
      isOn(`net/bridge/bridge-nf-call-${it === 4 ? "iptables" : "ip6tables"}`)
    ),
  };
}

function readFlowTables(netfilter: NetlinkSocket): readonly FlowTable[] {
  return dumpIfKnown(netfilter, dumpFlowTables()).map(parseFlowTable);
}

/** By interface, of every interface that has some. */
function readFilters(route: NetlinkSocket): ReadonlyMap<number, readonly Filter[]> {
  const filters = new Map<number, readonly Filter[]>();
  for (const { index, kind } of dumpIfKnown(route, dumpQdiscs()).map(parseQdisc)) {
    for (const parent of FILTER_PARENTS[kind] ?? []) {
      const more = dumpIfKnown(route, dumpFilters(index, parent)).map(parseFilter);
      filters.set(index, [...filters.get(index) ?? [], ...more]);
    }
  }
  return filters;
}

/** The route to each address, as far as the kernel has one. */
function readRoutes(
  route: NetlinkSocket,
  addresses: readonly string[],
): ReadonlyMap<string, Route | undefined> {
  const routes = new Map<string, Route | undefined>();
  const answers = route.pipeline(addresses.map((it) => lookUpRoute(Address.parse(it))));
  for (const [at, address] of addresses.entries()) {
    const answer = answers[at];
    if (!(answer instanceof NetlinkError)) routes.set(address, answer?.map(parseRoute)[0]);
    else if (["ENETUNREACH", "EHOSTUNREACH"].includes(answer.code)) routes.set(address, undefined);
  }
  return routes;
}

function readEngines(netfilter: NetlinkSocket): readonly PolicyEngine[] {
  const tables = netfilter.dump(dumpTables()).map(parseTable);
  const candidates = tables.flatMap((table) =>
    ENGINES.filter((it) => it.table === table.name).map((it) => ({ ...it, table }))
  );
  const asked = candidates.map(({ table, chain }) =>
    chain === undefined ? undefined : getChain({ table, name: chain })
  );
  const answers = netfilter.pipeline(asked.filter((it) => it !== undefined));
  let next = 0;
  return candidates.filter((_, at) =>
    asked[at] === undefined || !(answers[next++] instanceof NetlinkError)
  );
}

/** Dumps; empty if this kernel lacks the subsystem, or the object was deleted meanwhile. */
function dumpIfKnown(socket: NetlinkSocket, request: Request): readonly RawMessage[] {
  try {
    return socket.dump(request);
  } catch (error) {
    const isUnknown = error instanceof NetlinkError &&
      ["EINVAL", "EOPNOTSUPP"].includes(error.code);
    if (isUnknown || isNotFound(error)) return [];
    throw error;
  }
}

function familiesOf(predicate: (family: Family) => boolean): ReadonlySet<Family> {
  return new Set(FAMILIES.filter(predicate));
}

/** A parameter that the kernel does not have is off. */
function isOn(key: string): boolean {
  try {
    return readSysctl(key) !== "0";
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}
