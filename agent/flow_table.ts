/**
 * The kernel's table of flows, as cutting needs it: how full it is, all of it, the part that a change
 * concerns, and changes of single flows. Not for which flows: flow_cut.ts and flow_judge.ts.
 *
 * Reading costs the kernel microseconds a flow, so a large table takes it most of a second; walking it
 * for flows of one address takes it a tenth of that. It filters by IPv4 addresses from Linux 5.8 on.
 * By IPv6 addresses it does not, as of 6.18: ctnetlink_filter_match_tuple() in
 * net/netfilter/nf_conntrack_netlink.c leaves out just the flows whose address is equal, and no
 * combination of its conditions is the opposite of that. All IPv6 flows are read then, and sieved.
 *
 * Of the part that a change concerns, an address with very many flows is left to the look at the whole,
 * so that it does not delay the others.
 */

import { Address } from "../lib/ip/address.ts";
import {
  deleteFlow,
  dumpFlows,
  type FlowFilter,
  getFlowCount,
  parseFlow,
  parseTableSize,
  type TrackedFlow,
  updateFlow,
} from "../lib/netlink/conntrack/flow.ts";
import { FlowSieve } from "../lib/netlink/conntrack/flow_sieve.ts";
import {
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
} from "../lib/netlink/conntrack/message.ts";
import { isNotFound, NetlinkError } from "../lib/netlink/error.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import type { TableSize } from "./cut_bound.ts";
import type { FlowConcern } from "./flow_concern.ts";

/** NETLINK_NETFILTER sockets. */
export interface FlowTableOptions {
  /** For reading the whole table; used by nothing else. */
  readonly dumps: Pick<NetlinkSocket, "dumpParts">;
  /** Opens a socket for reading a part of the table; it is closed after that read. */
  readonly openUrgentDumps: () => Pick<NetlinkSocket, "dumpParts"> & Disposable;
  /** For single requests and changes; it may be shared. */
  readonly requests: Pick<NetlinkSocket, "request" | "pipeline">;
}

/** What one read brought. */
export interface FlowPart {
  /** How many flows the kernel showed. */
  readonly read: number;
  /** The flows that were asked for, and possibly others. */
  readonly flows: readonly TrackedFlow[];
}

/** A change of a flow: mark it for a number of seconds, or delete it. */
export interface FlowChange {
  readonly flow: TrackedFlow;
  readonly to: number | "delete";
}

/** A filtered dump costs the kernel a walk over the table: as much as reading this many flows, … */
const FLOWS_PER_WALK = 1_000;
/** … plus one for each of this many flows in the table. */
const FLOWS_WALKED_PER_READ = 14;
/** An address with this many flows (a quarter of a second's work) is left to the read of the whole table. */
const HEAVY_FLOWS = 10_000;

/** Reads flows from the kernel's connection tracking table, and changes or deletes single ones. */
export class FlowTable {
  readonly #options: FlowTableOptions;
  /** Whether this kernel has the filters of dumps. */
  #canFilter = true;
  /** Addresses with very many flows, as canonical texts. */
  readonly #heavy = new Set<string>();

  constructor(options: FlowTableOptions) {
    this.#options = options;
  }

  /** @throws {NetlinkError | KernelError} if the kernel does not say */
  size(): TableSize {
    const [raw] = this.#options.requests.request(getFlowCount());
    const { flows = Infinity, flowsMax = Infinity } = raw === undefined ? {} : parseTableSize(raw);
    return { flows, flowsMax };
  }

  /**
   * Reads the whole table, and returns the flows that pass `sieve()`, which is asked for each part.
   *
   * @throws {NetlinkError | KernelError} if the kernel does not show it
   */
  *all(sieve: () => FlowSieve): Generator<FlowPart, void, void> {
    for (const part of this.#options.dumps.dumpParts(dumpFlows())) {
      const current = sieve();
      yield pick(part, current);
    }
  }

  /**
   * Reads the concerned flows, by filters or as a whole, whichever is less work in a table of this
   * size.
   *
   * @param onHeavy called when some of them are left to the look at the whole
   * @throws {NetlinkError | KernelError} if the kernel does not show them
   */
  *concerned(
    concern: FlowConcern,
    size: TableSize,
    onHeavy: () => void,
  ): Generator<FlowPart, void, void> {
    const ends = new FlowEnds(concern, (address) => {
      this.#heavy.add(address);
      onHeavy();
    });
    for (const address of this.#heavy) if (ends.delete(address)) onHeavy();
    const families = ends.families();
    const filters = ends.filters();
    const walkCost = FLOWS_PER_WALK + size.flows / FLOWS_WALKED_PER_READ;
    if (this.#canFilter && filters.length * walkCost < size.flows) {
      for (const filter of filters) {
        yield* this.#readFiltered(filter, ends);
        if (!this.#canFilter) break;
      }
      families.delete(4);
    }
    const [family, another] = families;
    if (family === undefined) return;
    yield* this.#read(another === undefined ? { family } : {}, ends, () => !ends.isEmpty);
  }

  /** Clears the list of heavy addresses. */
  forgetHeavy(): void {
    this.#heavy.clear();
  }

  /**
   * Changes flows. One that the kernel refuses to mark is deleted, so that it does not continue.
   *
   * @returns for each, "done", "gone" if it has ended by itself, or why the kernel refused
   */
  change(changes: readonly FlowChange[]): readonly ("done" | "gone" | NetlinkError)[] {
    const { requests } = this.#options;
    return requests.pipeline(changes.map((it) => requestOf(it))).map((first, index) => {
      const change = changes[index];
      let result = first;
      if (change !== undefined && change.to !== "delete" && isRefused(result)) {
        [result = first] = requests.pipeline([requestOf(change, IPS_SEEN_REPLY | IPS_ASSURED)]);
        if (isRefused(result)) [result = first] = requests.pipeline([deleteFlow(change.flow)]);
      }
      if (!(result instanceof NetlinkError)) return "done";
      return isNotFound(result) ? "gone" : result;
    });
  }

  *#readFiltered(filter: FlowFilter, ends: FlowEnds): Generator<FlowPart, void, void> {
    let isFirst = true;
    // A kernel that does not filter shows everything at once: then it is read to its end.
    const isNeeded = (): boolean => !this.#canFilter || ends.hasAnyOf(filter);
    for (const part of this.#read(filter, ends, isNeeded)) {
      if (isFirst && part.flows.length < part.read) this.#canFilter = false;
      isFirst = false;
      yield part;
    }
  }

  *#read(
    filter: FlowFilter,
    ends: FlowEnds,
    isNeeded: () => boolean,
  ): Generator<FlowPart, void, void> {
    if (!isNeeded()) return;
    using socket = this.#options.openUrgentDumps();
    const parts = socket.dumpParts(dumpFlows(filter));
    // Not a loop over `parts`: left early, that would first read the rest, which closing saves.
    while (isNeeded()) {
      const next = parts.next();
      if (next.done) return;
      const picked = pick(next.value, ends.sieve);
      for (const flow of picked.flows) ends.count(flow);
      yield picked;
    }
  }
}

/** The addresses whose flows are still to be read. */
class FlowEnds {
  readonly #sources: Map<string, Address>;
  readonly #destinations: Map<string, Address>;
  readonly #counts = new Map<string, number>();
  readonly #onHeavy: (address: string) => void;
  #sieve: FlowSieve | undefined;

  constructor({ sources, destinations }: FlowConcern, onHeavy: (address: string) => void) {
    const parse = (texts: ReadonlySet<string>): Map<string, Address> =>
      new Map([...texts].map((it) => [it, Address.parse(it)]));
    this.#sources = parse(sources);
    this.#destinations = parse(destinations);
    this.#onHeavy = onHeavy;
  }

  get sieve(): FlowSieve {
    return this.#sieve ??= new FlowSieve({
      sources: this.#sources.values(),
      destinations: this.#destinations.values(),
    });
  }

  get isEmpty(): boolean {
    return this.#sources.size + this.#destinations.size === 0;
  }

  families(): Set<4 | 6> {
    const addresses = [...this.#sources.values(), ...this.#destinations.values()];
    return new Set(addresses.map((it) => it.family));
  }

  /** A filter for each IPv4 address. */
  filters(): readonly FlowFilter[] {
    const ipv4 = (addresses: Map<string, Address>): Address[] =>
      [...addresses.values()].filter((it) => it.family === 4);
    return [
      ...ipv4(this.#sources).map((source): FlowFilter => ({ family: 4, original: { source } })),
      ...ipv4(this.#destinations).map((source): FlowFilter => ({ family: 4, reply: { source } })),
    ];
  }

  /** Whether the flows of the filter's address are still to be read. */
  hasAnyOf({ original, reply }: FlowFilter): boolean {
    const has = (addresses: Map<string, Address>, address: Address | undefined): boolean =>
      address !== undefined && addresses.has(address.toString());
    return has(this.#sources, original?.source) || has(this.#destinations, reply?.source);
  }

  /** Counts a flow for both its addresses; an address with too many is left out from then on. */
  count({ original, reply }: TrackedFlow): void {
    for (const address of [original.source.toString(), reply.source.toString()]) {
      if (!this.#sources.has(address) && !this.#destinations.has(address)) continue;
      const count = (this.#counts.get(address) ?? 0) + 1;
      this.#counts.set(address, count);
      if (count > HEAVY_FLOWS && this.delete(address)) this.#onHeavy(address);
    }
  }

  /** @returns whether it was there */
  delete(address: string): boolean {
    const isDeleted = [this.#sources, this.#destinations]
      .map((it) => it.delete(address)).includes(true);
    if (isDeleted) this.#sieve = undefined;
    return isDeleted;
  }
}

function pick(part: readonly Parameters<typeof parseFlow>[0][], sieve: FlowSieve): FlowPart {
  const flows: TrackedFlow[] = [];
  for (const raw of part) {
    const flow = sieve.passes(raw) ? parseFlow(raw) : undefined;
    if (flow !== undefined) flows.push(flow);
  }
  return { read: part.length, flows };
}

function isRefused(result: readonly unknown[] | NetlinkError): boolean {
  return result instanceof NetlinkError && !isNotFound(result);
}

/**
 * @param more bits that the kernel may have set since the flow was read: to take them back would be
 * refused, and to set them unasked would keep it from making room (IPS_ASSURED)
 */
function requestOf({ flow, to }: FlowChange, more = 0): ReturnType<typeof deleteFlow> {
  if (to === "delete") return deleteFlow(flow);
  const status = flow.status | IPS_CONFIRMED | IPS_FIXED_TIMEOUT | more;
  return updateFlow(flow, { status, timeoutSeconds: to });
}
