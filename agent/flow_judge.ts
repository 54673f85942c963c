/**
 * Which tracked flows the policies of this node's pods deny now. A flow is judged as policy saw its
 * first packet, whichever way its packets go: from the source before source NAT (the original tuple's)
 * to the destination after destination NAT (the reply tuple's source).
 *
 * Only the sides whose pod is on this node and governed are asked; another node's agent asks the other.
 * What this host begins is left alone, and so is what ends at it, save at an address of its Node object:
 * the tiers of the cluster decide about that. Not for reading or cutting flows: flow_cut.ts does that.
 */

import { Address } from "../lib/ip/address.ts";
import type { Desired } from "../lib/model/desired.ts";
import { type Direction, DIRECTIONS } from "../lib/model/policy.ts";
import { type Protocol, PROTOCOL_NUMBERS } from "../lib/model/workload.ts";
import type { FlowFilter, TrackedFlow } from "../lib/netlink/conntrack/flow.ts";
import { IPS_EXPECTED, IPS_FIXED_TIMEOUT } from "../lib/netlink/conntrack/message.ts";
import { formatTuple } from "../lib/netlink/conntrack/tuple.ts";
import type { ClusterIndex } from "../lib/policy/cluster_index.ts";
import { evaluateDirection } from "../lib/policy/evaluate.ts";

/** The protocols that policies know, by their numbers. */
const PROTOCOLS = new Map(
  Object.entries(PROTOCOL_NUMBERS).map(([name, number]) => [number, name as Protocol]),
);

/** What judging depends on; it stays as it is for one pass over the table. */
export interface JudgeOptions {
  readonly index: ClusterIndex;
  /** What the kernel enforces: the pods of this node, and which directions are governed. */
  readonly enforced: Desired;
  /** Canonical texts. */
  readonly hostAddresses: ReadonlySet<string>;
}

/** A flow that must change: be cut, or be released from an earlier cut. */
export interface Judgement {
  readonly action: "cut" | "release";
  readonly flow: TrackedFlow;
}

/** Takes the flows of one pass, in any order. */
export class FlowJudge {
  readonly #options: JudgeOptions;
  readonly #governed: Readonly<Record<Direction, ReadonlySet<string>>>;
  /** Ends, protocol and port → whether that is denied: most flows repeat them. */
  readonly #verdicts = new Map<string, boolean>();
  #judgements: Judgement[] = [];
  /** Ids of the flows that were judged: dumps may show one twice. */
  readonly #taken = new Set<number>();
  /** Original tuples of the flows that are or will be cut. */
  readonly #denied = new Set<string>();
  readonly #expected: TrackedFlow[] = [];

  constructor(options: JudgeOptions) {
    this.#options = options;
    const endpoints = [...options.enforced.endpoints.values()];
    const governed = (direction: Direction): ReadonlySet<string> =>
      new Set(endpoints.filter((it) => it[direction] !== undefined).flatMap((it) => it.addresses));
    this.#governed = { ingress: governed("ingress"), egress: governed("egress") };
  }

  /**
   * Filters of dumps that together show every flow that can be denied; none: no pod is governed. The
   * kernel filters IPv4 addresses only.
   */
  get filters(): readonly FlowFilter[] {
    const filters: FlowFilter[] = DIRECTIONS.flatMap((direction) =>
      [...this.#governed[direction]].filter((it) => !it.includes(":"))
        .map((text) => ({ source: Address.parse(text) }))
        .map((ends): FlowFilter =>
          direction === "egress" ? { family: 4, original: ends } : { family: 4, reply: ends }
        )
    );
    const hasIpv6 = DIRECTIONS.some((it) =>
      this.#governed[it].values().some((text) => text.includes(":"))
    );
    return hasIpv6 ? [...filters, { family: 6 }] : filters;
  }

  /** How many flows are denied: cut already, or to be cut. */
  get deniedCount(): number {
    return this.#denied.size;
  }

  /** Takes a flow; one that was taken already is passed over. */
  take(flow: TrackedFlow): void {
    if (this.#taken.has(flow.id)) return;
    this.#taken.add(flow.id);
    // What another flow announced (FTP's data) shares its fate, once all are known.
    if ((flow.status & IPS_EXPECTED) !== 0 && flow.master !== undefined) this.#expected.push(flow);
    else this.#judge(flow, this.#isDenied(flow));
  }

  /** Every flow has been taken. */
  finish(): void {
    for (const flow of this.#expected.splice(0)) {
      this.#judge(flow, flow.master !== undefined && this.#denied.has(formatTuple(flow.master)));
    }
  }

  /** What must change, as far as it is known by now; each is returned once. */
  drain(): readonly Judgement[] {
    const judgements = this.#judgements;
    if (judgements.length > 0) this.#judgements = [];
    return judgements;
  }

  #judge(flow: TrackedFlow, isDenied: boolean): void {
    const isCut = (flow.status & IPS_FIXED_TIMEOUT) !== 0;
    if (isDenied) this.#denied.add(formatTuple(flow.original));
    if (isDenied !== isCut) this.#judgements.push({ action: isDenied ? "cut" : "release", flow });
  }

  #isDenied({ original, reply }: TrackedFlow): boolean {
    const source = original.source.toString();
    const destination = reply.source.toString();
    const directions = DIRECTIONS.filter((direction) =>
      this.#governed[direction].has(direction === "egress" ? source : destination)
    );
    if (directions.length === 0) return false;
    const { index, enforced, hostAddresses } = this.#options;
    if (hostAddresses.has(source)) return false;
    if (hostAddresses.has(destination) && !enforced.hostAddresses.includes(destination)) {
      return false;
    }
    const protocol = PROTOCOLS.get(original.protocol);
    const port = protocol === undefined ? undefined : reply.ports?.source;
    const key = `${source} ${destination} ${protocol} ${port}`;
    let isDenied = this.#verdicts.get(key);
    if (isDenied === undefined) {
      const flow = {
        source: { address: original.source, workload: index.podAt(source) },
        destination: { address: reply.source, workload: index.podAt(destination) },
        protocol,
        port,
      };
      isDenied = directions.some((it) => !evaluateDirection(index, flow, it).allowed);
      this.#verdicts.set(key, isDenied);
    }
    return isDenied;
  }
}
