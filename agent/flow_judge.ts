/**
 * Which tracked flows the policies of this node's pods deny now. A flow is judged as policy saw its
 * first packet, whichever way its packets go: from the source before source NAT (the original tuple's)
 * to the destination after destination NAT (the reply tuple's source).
 *
 * Only the sides whose pod is on this node and governed are asked; another node's agent asks the other.
 * What this host begins is left alone, and so is what ends at it, save at an address of its Node object:
 * the tiers of the cluster decide about that. Not for reading or cutting flows: flow_table.ts and
 * flow_cut.ts do that.
 */

import { Address } from "../lib/ip/address.ts";
import type { Desired } from "../lib/model/desired.ts";
import { type Direction, DIRECTIONS } from "../lib/model/policy.ts";
import { type Protocol, PROTOCOL_NUMBERS } from "../lib/model/workload.ts";
import type { TrackedFlow } from "../lib/netlink/conntrack/flow.ts";
import { FlowSieve } from "../lib/netlink/conntrack/flow_sieve.ts";
import { IPS_EXPECTED, IPS_FIXED_TIMEOUT } from "../lib/netlink/conntrack/message.ts";
import { formatTuple } from "../lib/netlink/conntrack/tuple.ts";
import type { ClusterIndex } from "../lib/policy/cluster_index.ts";
import { evaluateDirection } from "../lib/policy/evaluate.ts";

/** The protocols that policies know, by their numbers. */
const PROTOCOLS = new Map(
  Object.entries(PROTOCOL_NUMBERS).map(([name, number]) => [number, name as Protocol]),
);

/** The state that verdicts on flows depend on. */
export interface JudgeOptions {
  readonly index: ClusterIndex;
  /** What the kernel enforces: the pods of this node, and which directions are governed. */
  readonly enforced: Desired;
  /** Canonical texts. */
  readonly hostAddresses: ReadonlySet<string>;
}

/** A flow that is denied: to be cut, or cut already; or one to be released from an earlier cut. */
export type Judgement =
  | {
    readonly action: "cut" | "keep";
    readonly flow: TrackedFlow;
    /**
     * Whether the called end may begin a flow that would bring this one back, by a packet to the
     * caller's address and port.
     */
    readonly mayReturn: boolean;
  }
  | { readonly action: "release"; readonly flow: TrackedFlow };

/** Takes the flows of one pass, in any order. */
export class FlowJudge {
  readonly #isWhole: boolean;
  #options: JudgeOptions;
  #governed: Readonly<Record<Direction, ReadonlySet<string>>>;
  #sieve: FlowSieve | undefined;
  /** Ends, protocol and port → whether that is denied: most flows repeat them. */
  readonly #verdicts = new Map<string, boolean>();
  #judgements: Judgement[] = [];
  /** Ids of the flows that were judged: dumps may show one twice. */
  readonly #taken = new Set<number>();
  /** Original tuples of the flows that are or will be cut. */
  readonly #denied = new Set<string>();
  readonly #expected: TrackedFlow[] = [];

  /** @param options.isWhole whether every flow will be taken. @default {true} */
  constructor(options: JudgeOptions & { readonly isWhole?: boolean }) {
    this.#isWhole = options.isWhole ?? true;
    this.#options = options;
    this.#governed = governedOf(options.enforced);
  }

  /** Judges by `options` from now on; flows that were taken stay taken. */
  renew(options: JudgeOptions): void {
    this.#options = options;
    this.#governed = governedOf(options.enforced);
    this.#sieve = undefined;
    this.#verdicts.clear();
  }

  /** Whether some direction of some pod is governed, so that a flow can be denied. */
  get canDeny(): boolean {
    return DIRECTIONS.some((it) => this.#governed[it].size > 0);
  }

  /** A cheap filter: true for every flow that may be denied or may have to be released. */
  get sieve(): FlowSieve {
    const addresses = (direction: Direction): Address[] =>
      [...this.#governed[direction]].map((it) => Address.parse(it));
    return this.#sieve ??= new FlowSieve({
      sources: addresses("egress"),
      destinations: addresses("ingress"),
      status: IPS_FIXED_TIMEOUT | IPS_EXPECTED,
    });
  }

  /** How many flows are denied: cut already, or to be cut. */
  get deniedCount(): number {
    return this.#denied.size;
  }

  /** Takes a flow; one that was taken already is passed over. */
  take(flow: TrackedFlow): void {
    if (this.#taken.has(flow.id)) return;
    this.#taken.add(flow.id);
    if ((flow.status & IPS_EXPECTED) === 0 || flow.master === undefined) {
      this.#judge(flow, this.#isDenied(flow));
    } else if (this.#isWhole) {
      // A flow that another one announced (FTP's data) gets that one's verdict, once all are read.
      this.#expected.push(flow);
    }
  }

  /** Call when every flow has been taken. */
  finish(): void {
    for (const flow of this.#expected.splice(0)) {
      this.#judge(flow, flow.master !== undefined && this.#denied.has(formatTuple(flow.master)));
    }
  }

  /** The changes of flows that are decided by now; each one is returned once. */
  drain(): readonly Judgement[] {
    const judgements = this.#judgements;
    if (judgements.length > 0) this.#judgements = [];
    return judgements;
  }

  #judge(flow: TrackedFlow, isDenied: boolean): void {
    const isCut = (flow.status & IPS_FIXED_TIMEOUT) !== 0;
    if (isDenied) {
      this.#denied.add(formatTuple(flow.original));
      // A flow that another one announced may be one that could begin by itself.
      const mayReturn = this.#mayReturn(flow) || !this.#isDenied(flow);
      this.#judgements.push({ action: isCut ? "keep" : "cut", flow, mayReturn });
    } else if (isCut) {
      this.#judgements.push({ action: "release", flow });
    }
  }

  #isDenied({ original, reply }: TrackedFlow): boolean {
    return this.#denies({
      source: original.source,
      destination: reply.source,
      protocol: original.protocol,
      port: reply.ports?.source,
    });
  }

  /** The flow that a packet of the called end would begin if the kernel had no entry for this one. */
  #mayReturn({ original, reply }: TrackedFlow): boolean {
    return !this.#denies({
      source: reply.source,
      destination: original.source,
      protocol: original.protocol,
      port: original.ports?.source,
    });
  }

  #denies({ source, destination, protocol: number, port: anyPort }: FirstPacket): boolean {
    const [from, to] = [source.toString(), destination.toString()];
    const directions = DIRECTIONS.filter((direction) =>
      this.#governed[direction].has(direction === "egress" ? from : to)
    );
    if (directions.length === 0) return false;
    const { index, enforced, hostAddresses } = this.#options;
    if (hostAddresses.has(from)) return false;
    if (hostAddresses.has(to) && !enforced.hostAddresses.some((it) => it.toString() === to)) {
      return false;
    }
    const protocol = PROTOCOLS.get(number);
    const port = protocol === undefined ? undefined : anyPort;
    const key = `${from} ${to} ${protocol} ${port}`;
    let isDenied = this.#verdicts.get(key);
    if (isDenied === undefined) {
      const flow = {
        source: { address: source, workload: index.podAt(from) },
        destination: { address: destination, workload: index.podAt(to) },
        protocol,
        port,
      };
      isDenied = directions.some((it) => !evaluateDirection(index, flow, it).allowed);
      this.#verdicts.set(key, isDenied);
    }
    return isDenied;
  }
}

/** A flow's first packet, as policy judges it. */
interface FirstPacket {
  readonly source: Address;
  readonly destination: Address;
  /** IPPROTO_*. */
  readonly protocol: number;
  /** The destination's. */
  readonly port: number | undefined;
}

/** The addresses that a direction governs. */
function governedOf({ endpoints }: Desired): Readonly<Record<Direction, ReadonlySet<string>>> {
  const governed = (direction: Direction): ReadonlySet<string> =>
    new Set(
      [...endpoints.values()].filter((it) => it[direction] !== undefined)
        .flatMap((it) => it.addresses.map(String)),
    );
  return { ingress: governed("ingress"), egress: governed("egress") };
}
