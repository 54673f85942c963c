/**
 * Cuts the flows that a change of policy denies, and those only. After a change is in the kernel it
 * reads the kernel's table of flows, asks the evaluator about those of this node's governed pods, and
 * cuts what it denies: soon, at its own pace, never in the way of an apply.
 *
 * Deleting a flow would not end it: the next packet of either end begins a new one, and a packet of the
 * end that was called, where that end may call too, would bring the whole flow back the other way round.
 * So a cut flow stays in the table with the status bit IPS_FIXED_TIMEOUT, and the head of the forward
 * chain drops what belongs to such a flow, both ways; the kernel forgets it when its time is over. When
 * policy allows it again it is deleted, and its next packet is judged as any other. What is cut is a
 * function of the facts and the table: a restarted agent goes on where the former one was.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { Logger } from "../lib/base/log.ts";
import { backoffDelayMs } from "../lib/base/retry.ts";
import type { Desired } from "../lib/model/desired.ts";
import {
  deleteFlow,
  dumpFlows,
  type FlowFilter,
  getFlowCount,
  parseFlow,
  parseFlowCount,
  type TrackedFlow,
  updateFlow,
} from "../lib/netlink/conntrack/flow.ts";
import {
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
  TCP_CONNTRACK_CLOSE_WAIT,
  TCP_CONNTRACK_ESTABLISHED,
} from "../lib/netlink/conntrack/message.ts";
import { formatTuple } from "../lib/netlink/conntrack/tuple.ts";
import { isNotFound, NetlinkError } from "../lib/netlink/error.ts";
import type { Request } from "../lib/netlink/message.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import type { ClusterIndex } from "../lib/policy/cluster_index.ts";
import { FlowJudge, type Judgement } from "./flow_judge.ts";

/** What cutting needs. */
export interface FlowCutOptions {
  /** A NETLINK_NETFILTER socket of its own, for reading the table. */
  readonly dumps: Pick<NetlinkSocket, "dumpParts">;
  /** Another one, which may be shared, for what is asked and changed meanwhile. */
  readonly requests: Pick<NetlinkSocket, "request" | "pipeline">;
  readonly index: ClusterIndex;
  /** What the kernel enforces; `undefined` before the first apply. */
  readonly enforced: () => Desired | undefined;
  /** The addresses of this host, as canonical texts. */
  readonly hostAddresses: () => ReadonlySet<string>;
  /** How often it looks without being kicked; 0 = never. */
  readonly intervalMs: number;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
}

/** What it has done so far. */
export interface FlowCutCounts {
  passes: number;
  failed: number;
  cut: number;
  released: number;
  /** Flows that the kernel would not change. */
  refused: number;
  /** Of the last pass: flows read, flows that are denied, and how long it took. */
  flows: number;
  denied: number;
  durationMs: number;
}

/** What a pass did. */
interface Report {
  flows: number;
  cut: number;
  released: number;
  readonly failures: NetlinkError[];
  readonly examples: string[];
}

/** Between two passes lies this much time, or (within the bounds) so much that passes take 5 %. */
const PAUSE_MS_MIN = 200;
const PAUSE_MS_MAX = 800;
const PAUSE_FACTOR = 20;
const RETRY = { delayMsMin: PAUSE_MS_MAX, delayMsMax: 60_000 };
/** How long a pass keeps the event loop; then others go first. */
const SLICE_MS_MAX = 5;
/** Walking the kernel's table once more, for a filter, costs as much as reading so many flows. */
const FLOWS_PER_WALK = 1_000;
/** Flows that a log event names. */
const EXAMPLES_MAX = 5;

const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_ICMPV6 = 58;
const IPPROTO_SCTP = 132;

/**
 * How long a cut flow stays cut. A connection's end may be silent for hours and then probe; a datagram
 * knows no connection, and after this time the other end's next one is a flow of its own.
 */
const CUT_SECONDS = { tcp: 86_400, sctp: 3_600, other: 300 };

/** See the file's comment. */
export class FlowCut {
  readonly counts: FlowCutCounts = {
    passes: 0,
    failed: 0,
    cut: 0,
    released: 0,
    refused: 0,
    flows: 0,
    denied: 0,
    durationMs: 0,
  };
  readonly #options: FlowCutOptions;
  readonly #clock: Clock;
  #wake = Promise.withResolvers<void>();
  #isDirty = true;
  /** Whether this kernel has the filters of dumps. */
  #canFilter = true;
  #sliceStartMs = 0;

  constructor(options: FlowCutOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** What the kernel enforces has changed: look soon. */
  kick(): void {
    this.#isDirty = true;
    this.#wake.resolve();
  }

  /** Looks at once, and then after each kick and each interval, until `signal` aborts. */
  async start(signal: AbortSignal): Promise<void> {
    const { intervalMs, logger, random = Math.random } = this.#options;
    const abort = (): void => this.#wake.resolve();
    signal.addEventListener("abort", abort, { once: true });
    let failures = 0;
    while (!signal.aborted) {
      let pauseMs: number;
      try {
        await this.pass(signal);
        failures = 0;
        pauseMs = Math.min(
          Math.max(PAUSE_FACTOR * this.counts.durationMs, PAUSE_MS_MIN),
          PAUSE_MS_MAX,
        );
      } catch (error) {
        this.counts.failed++;
        this.#isDirty = true;
        pauseMs = backoffDelayMs(failures++, RETRY, random());
        logger.warn("flows not cut; trying again", { error, delayMs: pauseMs, failures });
      }
      await this.#clock.sleep(pauseMs, signal).catch(() => {});
      if (!this.#isDirty) await this.#sleep(intervalMs, signal);
    }
  }

  /**
   * Reads the table once, and cuts and releases; all of it, unless `signal` aborts.
   *
   * @throws {NetlinkError | KernelError} if the kernel does not show its table
   */
  async pass(signal?: AbortSignal): Promise<void> {
    this.#isDirty = false;
    this.#wake = Promise.withResolvers();
    await this.#clock.sleep(0); // whoever waits for the apply goes first
    const { index, hostAddresses, logger } = this.#options;
    const enforced = this.#options.enforced();
    if (enforced === undefined) return;
    const startMs = this.#sliceStartMs = performance.now();
    const judge = new FlowJudge({ index, enforced, hostAddresses: hostAddresses() });
    const report: Report = { flows: 0, cut: 0, released: 0, failures: [], examples: [] };
    for (const filter of this.#filters(judge)) await this.#read(filter, judge, report, signal);
    if (signal?.aborted) return;
    judge.finish();
    this.#execute(judge.drain(), report);
    const { flows, cut, released, failures, examples } = report;
    const { counts } = this;
    counts.passes++;
    counts.cut += cut;
    counts.released += released;
    counts.refused += failures.length;
    counts.flows = flows;
    counts.denied = judge.deniedCount;
    counts.durationMs = performance.now() - startMs;
    if (cut + released > 0) {
      const durationMs = Number(counts.durationMs.toFixed(2));
      logger.info("flows cut", { cut, released, flows, durationMs, examples });
    }
    if (failures.length > 0) {
      logger.warn("some flows not cut", { flows: failures.length, error: failures[0] });
    }
  }

  /** The dumps to make: one of everything, or several small ones where that is less work. */
  #filters(judge: FlowJudge): readonly FlowFilter[] {
    const { filters } = judge;
    if (filters.length === 0 && this.counts.passes > 0 && this.counts.denied === 0) return [];
    const [raw] = this.#options.requests.request(getFlowCount());
    const count = raw === undefined ? Infinity : parseFlowCount(raw);
    if (count === 0) return [];
    const small = [...filters, { status: IPS_FIXED_TIMEOUT }];
    return this.#canFilter && small.length * FLOWS_PER_WALK < count ? small : [{}];
  }

  async #read(
    filter: FlowFilter,
    judge: FlowJudge,
    report: Report,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    for (const part of this.#options.dumps.dumpParts(dumpFlows(filter))) {
      if (signal?.aborted) return;
      for (const raw of part) {
        const flow = parseFlow(raw);
        if (flow === undefined) continue;
        report.flows++;
        if (!matches(filter, flow)) this.#canFilter = false;
        judge.take(flow);
      }
      this.#execute(judge.drain(), report);
      await this.#giveWay();
    }
  }

  /** Sends what the judgements ask for. */
  #execute(judgements: readonly Judgement[], report: Report): void {
    const { requests } = this.#options;
    const results = requests.pipeline(judgements.map(requestOf));
    judgements.forEach(({ action, flow }, index) => {
      let result = results[index];
      // A flow that the kernel will not mark is better gone than going on.
      if (action === "cut" && result instanceof NetlinkError && !isNotFound(result)) {
        [result] = requests.pipeline([deleteFlow(flow)]);
      }
      if (result instanceof NetlinkError) {
        if (!isNotFound(result)) report.failures.push(result);
        return;
      }
      if (action === "cut") report.cut++;
      else report.released++;
      if (report.examples.length < EXAMPLES_MAX) {
        report.examples.push(`${action} ${formatTuple(flow.original)}`);
      }
    });
  }

  /** Lets others go first when the slice is used up. */
  async #giveWay(): Promise<void> {
    if (performance.now() - this.#sliceStartMs < SLICE_MS_MAX) return;
    await this.#clock.sleep(0);
    this.#sliceStartMs = performance.now();
  }

  /** Until somebody kicks, `intervalMs` is over, or `signal` aborts. */
  async #sleep(intervalMs: number, signal: AbortSignal): Promise<void> {
    if (intervalMs === 0) return await this.#wake.promise;
    const cancel = new AbortController();
    const timer = this.#clock
      .sleep(intervalMs, AbortSignal.any([signal, cancel.signal]))
      .catch(() => {});
    await Promise.race([this.#wake.promise, timer]);
    cancel.abort();
  }
}

function requestOf({ action, flow }: Judgement): Request {
  const { protocol } = flow.original;
  // An answer to a ping begins no flow, so there is nothing to keep out.
  const isPing = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
  if (action === "release" || isPing) return deleteFlow(flow);
  return updateFlow(flow, {
    // The two that the kernel may set meanwhile: taking bits back would be refused.
    status: flow.status | IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED | IPS_FIXED_TIMEOUT,
    timeoutSeconds: cutSecondsOf(flow),
  });
}

function cutSecondsOf({ original, tcpState = 0 }: TrackedFlow): number {
  if (original.protocol === IPPROTO_SCTP) return CUT_SECONDS.sctp;
  const isOpen = tcpState >= TCP_CONNTRACK_ESTABLISHED && tcpState <= TCP_CONNTRACK_CLOSE_WAIT;
  return original.protocol === IPPROTO_TCP && isOpen ? CUT_SECONDS.tcp : CUT_SECONDS.other;
}

/** Whether the kernel filtered as it was told. */
function matches({ original, reply, status = 0 }: FlowFilter, flow: TrackedFlow): boolean {
  return (original?.source === undefined || original.source.value === flow.original.source.value) &&
    (reply?.source === undefined || reply.source.value === flow.reply.source.value) &&
    (flow.status & status) === status;
}
