/**
 * What becomes of a denied flow: it is marked, and stays in the kernel's table so that neither end
 * brings it back, or it is deleted. A marked flow holds a place that others need, so:
 *
 * - Where the end that was called may not call the caller, no packet of either end gets through without
 *   the flow: it is deleted.
 * - Otherwise it is marked, as long as marked flows hold an eighth of the table at most, and the table
 *   beside them is not fuller than three quarters. What is beyond is deleted: its next packet is judged
 *   as a new flow's. It is denied unless it comes from the end that may call, and then policy allows it.
 * - In a crowded table marks are short.
 *
 * A bound is needed because the kernel cannot help itself. A full table makes room by dropping flows
 * without IPS_ASSURED (early_drop() and gc_worker() in net/netfilter/nf_conntrack_core.c); that bit
 * cannot be taken away (nf_ct_change_status_common(): EBUSY), the time of a flow with IPS_FIXED_TIMEOUT
 * cannot be changed (__nf_ct_change_timeout(): EPERM), and it does not end earlier when its connection
 * closes. Pure.
 */

import type { TrackedFlow } from "../lib/netlink/conntrack/flow.ts";
import {
  TCP_CONNTRACK_CLOSE_WAIT,
  TCP_CONNTRACK_ESTABLISHED,
} from "../lib/netlink/conntrack/message.ts";

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_SCTP = 132;

/** The share of the connection tracking table that marked flows may hold. */
const MARKED_SHARE = 1 / 8;
/** How full the rest of the table may be while flows are still marked. */
const FULL_SHARE = 3 / 4;
/** Above these shares (flows in the table, marked flows) a mark lasts only a short time. */
const CROWDED_SHARE = 1 / 2;
const CROWDED_MARKED_SHARE = MARKED_SHARE / 2;

/**
 * How long a flow stays marked. A connection's end may be silent for hours and then probe; a datagram
 * knows no connection, and after this time the other end's next one is a flow of its own.
 */
const MARK_SECONDS = { tcp: 86_400, sctp: 3_600, other: 300 };
/** Longer than TCP retransmits without an acknowledgement: net.ipv4.tcp_retries2 = 15 is 924.6 s. */
const MARK_SECONDS_CROWDED = 960;

/** How full the kernel's connection tracking table is. */
export interface TableSize {
  readonly flows: number;
  /** net.netfilter.nf_conntrack_max; Infinity: the kernel does not say. */
  readonly flowsMax: number;
}

/** Decides about one denied flow after the other, and counts the marked ones. */
export class CutBound {
  #flows = 0;
  #flowsMax = Infinity;
  #marked = 0;

  /** How many flows are marked, as far as it is known. */
  get marked(): number {
    return this.#marked;
  }

  /** Sets how full the table is now. */
  resize({ flows, flowsMax }: TableSize): void {
    this.#flows = flows;
    // 0 is no bound: __nf_conntrack_alloc().
    this.#flowsMax = flowsMax > 0 ? flowsMax : Infinity;
  }

  /** Sets how many marked flows a read of the table found: expired ones no longer count. */
  recount(marked: number): void {
    this.#marked = marked;
  }

  /**
   * Decides about a denied flow that is still open.
   *
   * @param mayReturn whether the end that was called may call the caller
   * @returns for how many seconds it is to be marked, or "delete"
   */
  cut(flow: TrackedFlow, mayReturn: boolean): number | "delete" {
    if (!mayReturn || isPing(flow) || this.#marked >= this.#markedMax) {
      this.#flows--;
      return "delete";
    }
    this.#marked++;
    return this.#secondsOf(flow);
  }

  /** Whether a marked flow that is still denied stays marked; otherwise it is to be deleted. */
  keeps(mayReturn: boolean): boolean {
    if (mayReturn && this.#marked <= this.#markedMax) return true;
    this.#flows--;
    this.#marked--;
    return false;
  }

  get #markedMax(): number {
    const room = FULL_SHARE * this.#flowsMax - (this.#flows - this.#marked);
    return Math.max(0, Math.min(room, MARKED_SHARE * this.#flowsMax));
  }

  #secondsOf({ original, tcpState = 0 }: TrackedFlow): number {
    const isCrowded = this.#flows > CROWDED_SHARE * this.#flowsMax ||
      this.#marked > CROWDED_MARKED_SHARE * this.#flowsMax;
    const max = isCrowded ? MARK_SECONDS_CROWDED : Infinity;
    if (original.protocol === IPPROTO_SCTP) return Math.min(MARK_SECONDS.sctp, max);
    const isOpen = tcpState >= TCP_CONNTRACK_ESTABLISHED && tcpState <= TCP_CONNTRACK_CLOSE_WAIT;
    const isConnection = original.protocol === IPPROTO_TCP && isOpen;
    return Math.min(isConnection ? MARK_SECONDS.tcp : MARK_SECONDS.other, max);
  }
}

/** An echo reply cannot begin a flow, so its flow is deleted without a mark. */
function isPing({ original }: TrackedFlow): boolean {
  return original.protocol === IPPROTO_ICMP || original.protocol === IPPROTO_ICMPV6;
}
