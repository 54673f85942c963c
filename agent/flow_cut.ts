/**
 * Cuts the flows that a change of policy denies, and those only. After a change is in the kernel it
 * reads the flows that the change concerns (flow_concern.ts) out of the kernel's table, asks the
 * evaluator about those of this node's governed pods, and cuts what it denies: at once, and never in the
 * way of an apply. Then it reads the whole table, at its own pace: for what no comparison of desired
 * states shows, as the host's addresses, and for flows that others announced. Changes that come
 * meanwhile go first, so that a table full of one tenant's flows does not delay another's cut.
 *
 * Deleting a flow may not end it: the next packet of either end begins a new one, and a packet of the
 * end that was called, where that end may call too, would bring the whole flow back the other way round.
 * Such a flow stays in the table with the status bit IPS_FIXED_TIMEOUT, and our base chains drop what
 * belongs to it, both ways; the kernel forgets it when its time is over. When policy
 * allows it again it is deleted, and its next packet is judged as any other. How many may stay, and what
 * is deleted at once, says cut_bound.ts. What is cut is a function of the facts and the table: a
 * restarted agent goes on where the former one was.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { Logger } from "../lib/base/log.ts";
import type { Desired } from "../lib/model/desired.ts";
import { formatTuple } from "../lib/netlink/conntrack/tuple.ts";
import { NetlinkError } from "../lib/netlink/error.ts";
import type { ClusterIndex } from "../lib/policy/cluster_index.ts";
import { CutBound } from "./cut_bound.ts";
import { FlowConcerns } from "./flow_concern.ts";
import { FlowJudge, type Judgement, type JudgeOptions } from "./flow_judge.ts";
import { type FlowChange, type FlowPart, FlowTable, type FlowTableOptions } from "./flow_table.ts";
import { PacedLoop } from "./paced_loop.ts";

/** What cutting needs. */
export interface FlowCutOptions extends FlowTableOptions {
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
  /** Looks at the whole table. */
  passes: number;
  failed: number;
  /** Flows marked or deleted because they are denied. */
  cut: number;
  released: number;
  /** Flows that the kernel would not change. */
  refused: number;
  /** Of the last whole look: flows read, flows that are denied, and how long it took. */
  flows: number;
  denied: number;
  durationMs: number;
}

/** What a look did. */
interface Report {
  flows: number;
  cut: number;
  /** Of those that were cut: deleted, not marked. */
  deleted: number;
  released: number;
  /** Marked flows that it saw or made. */
  marked: number;
  readonly failures: NetlinkError[];
  readonly examples: string[];
}

/**
 * Bounds of the pause between two passes. After a read of the concerned flows it is as long as keeps
 * these reads at 5 % of the time; after a read of the whole table at 2 %, or at a third if a change
 * waits for it.
 */
const PAUSE_MS_MIN = 200;
const PAUSE_MS_MAX = 500;
const PAUSE_FACTOR = 20;
const WHOLE_PAUSE_FACTOR = 50;
const URGENT_WHOLE_PAUSE_FACTOR = 2;
const WHOLE_PAUSE_MS_MAX = 60_000;
const RETRY = { delayMsMin: 800, delayMsMax: 60_000 };
/** How long a look keeps the event loop; then others go first. */
const SLICE_MS_MAX = 5;
/** Flows that a log event names. */
const EXAMPLES_MAX = 5;

/** Cuts denied flows; its owner calls it after each applied change and at its own pace. */
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
  readonly #table: FlowTable;
  readonly #concerns = new FlowConcerns();
  readonly #bound = new CutBound();
  /** It is due when the whole table is to be read; never: when a change or the interval asks. */
  readonly #paced: PacedLoop;
  /** The whole not before when, if something depends on it, and if not. */
  #wholeMayAtMs = 0;
  #wholeShouldAtMs = 0;
  /** Since when the event loop has been kept, and when changes were last looked at; performance.now(). */
  #sliceStartMs = 0;
  #concernedAtMs = -Infinity;
  #concernedMs = 0;

  constructor(options: FlowCutOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#table = new FlowTable(options);
    this.#paced = new PacedLoop({
      ...options,
      work: (signal) => this.#round(signal),
      onFailure: (error, next) => this.#onFailure(error, next),
      retry: RETRY,
    });
  }

  /** What the kernel enforces has changed: look soon. */
  kick(): void {
    this.#paced.kick();
  }

  /** Looks at once, and then after each kick and each interval, until `signal` aborts. */
  start(signal: AbortSignal): Promise<void> {
    return this.#paced.start(signal);
  }

  async #round(signal: AbortSignal): Promise<number> {
    if (this.#paced.isDirty) await this.passConcerned(signal);
    if (this.#paced.isDue) await this.pass(signal);
    return clamp(PAUSE_FACTOR * this.#concernedMs, PAUSE_MS_MIN, PAUSE_MS_MAX);
  }

  #onFailure(error: unknown, next: { readonly delayMs: number; readonly failures: number }): void {
    this.counts.failed++;
    this.#concerns.forget();
    this.#options.logger.warn("flows not cut; trying again", { error, ...next });
  }

  /**
   * Reads the flows that the changes since the last call concern, and cuts or releases them. A read of
   * the whole table follows, at once if the concerned flows are not known.
   *
   * @throws {NetlinkError | KernelError} if the kernel does not show them
   */
  async passConcerned(signal?: AbortSignal): Promise<void> {
    this.#paced.settle();
    await this.#clock.sleep(0); // callers that wait for the apply go first
    const judgeOptions = this.#judgeOptions();
    if (judgeOptions === undefined) return;
    const startMs = this.#sliceStartMs = performance.now();
    const nowMs = this.#clock.nowMs();
    const concern = this.#concerns.take(judgeOptions.enforced);
    this.#concernedAtMs = startMs;
    if (concern === "everything") {
      this.#paced.dueAtMs = Math.max(nowMs, this.#wholeMayAtMs);
      return;
    }
    this.#paced.dueAtMs = Math.min(this.#paced.dueAtMs, Math.max(nowMs, this.#wholeShouldAtMs));
    if (concern.sources.size + concern.destinations.size > 0) {
      const judge = new FlowJudge({ ...judgeOptions, isWhole: false });
      const size = this.#table.size();
      this.#bound.resize(size);
      const report = newReport();
      const onHeavy = (): void => void (this.#paced.dueAtMs = Math.max(nowMs, this.#wholeMayAtMs));
      const parts = size.flows === 0 ? [] : this.#table.concerned(concern, size, onHeavy);
      for (const part of parts) {
        if (signal?.aborted) return;
        this.#take(part, judge, report);
        await this.#giveWay();
      }
      this.#tell(report, performance.now() - startMs);
    }
    this.#concernedAtMs = performance.now();
    this.#concernedMs = this.#concernedAtMs - startMs;
  }

  /**
   * Reads the table once, and cuts and releases; all of it, unless `signal` aborts.
   *
   * @throws {NetlinkError | KernelError} if the kernel does not show its table
   */
  async pass(signal?: AbortSignal): Promise<void> {
    const { intervalMs } = this.#options;
    const judgeOptions = this.#judgeOptions();
    if (judgeOptions === undefined) return;
    // From the moment that it begins: what asks meanwhile, asks for the next one.
    this.#paced.repeatAfter(intervalMs);
    const startMs = this.#sliceStartMs = performance.now();
    const judge = new FlowJudge(judgeOptions);
    const report = newReport();
    if (judge.canDeny || this.counts.passes === 0 || this.counts.denied + this.#bound.marked > 0) {
      const size = this.#table.size();
      this.#bound.resize(size);
      for (const part of size.flows === 0 ? [] : this.#table.all(() => judge.sieve)) {
        if (signal?.aborted) return;
        this.#take(part, judge, report);
        await this.#giveWay();
        if (await this.#hasYieldedToChanges(signal)) {
          judge.renew(this.#judgeOptions() ?? judgeOptions);
        }
      }
      judge.finish();
      this.#execute(judge.drain(), report);
      this.#bound.recount(report.marked);
    }
    const { counts } = this;
    counts.passes++;
    counts.flows = report.flows;
    counts.denied = judge.deniedCount;
    counts.durationMs = performance.now() - startMs;
    this.#table.forgetHeavy();
    const nowMs = this.#clock.nowMs();
    this.#wholeMayAtMs = nowMs +
      clamp(URGENT_WHOLE_PAUSE_FACTOR * counts.durationMs, PAUSE_MS_MIN, WHOLE_PAUSE_MS_MAX);
    this.#wholeShouldAtMs = nowMs +
      clamp(WHOLE_PAUSE_FACTOR * counts.durationMs, PAUSE_MS_MIN, WHOLE_PAUSE_MS_MAX);
    this.#tell(report, counts.durationMs);
  }

  /** What to judge by now; `undefined`: nothing is enforced yet. */
  #judgeOptions(): JudgeOptions | undefined {
    const { index, hostAddresses } = this.#options;
    const enforced = this.#options.enforced();
    return enforced && { index, enforced, hostAddresses: hostAddresses() };
  }

  /** In the middle of the whole table: looks at what changed, if something did. */
  async #hasYieldedToChanges(signal: AbortSignal | undefined): Promise<boolean> {
    if (!this.#paced.isDirty) return false;
    if (performance.now() - this.#concernedAtMs < PAUSE_MS_MIN) return false;
    await this.passConcerned(signal);
    return true;
  }

  #take({ read, flows }: FlowPart, judge: FlowJudge, report: Report): void {
    report.flows += read;
    for (const flow of flows) judge.take(flow);
    this.#execute(judge.drain(), report);
  }

  /** Changes what the judgements ask for. */
  #execute(judgements: readonly Judgement[], report: Report): void {
    const changes: (FlowChange & { readonly action: "cut" | "release" })[] = [];
    for (const judgement of judgements) {
      const { action, flow } = judgement;
      if (action === "release") {
        changes.push({ action, flow, to: "delete" });
      } else if (action === "cut") {
        changes.push({ action, flow, to: this.#bound.cut(flow, judgement.mayReturn) });
      } else if (this.#bound.keeps(judgement.mayReturn)) {
        report.marked++;
      } else {
        changes.push({ action: "cut", flow, to: "delete" });
      }
    }
    const results = this.#table.change(changes);
    changes.forEach(({ action, flow, to }, index) => {
      const result = results[index];
      if (result instanceof NetlinkError) report.failures.push(result);
      if (result !== "done") return;
      if (action === "release") report.released++;
      else report.cut++;
      if (to !== "delete") report.marked++;
      else if (action === "cut") report.deleted++;
      if (report.examples.length < EXAMPLES_MAX) {
        report.examples.push(`${action} ${formatTuple(flow.original)}`);
      }
    });
  }

  /** Counts what a look did, and says it in the log if it did something. */
  #tell({ flows, cut, deleted, released, failures, examples }: Report, ms: number): void {
    const { counts } = this;
    const { logger } = this.#options;
    counts.cut += cut;
    counts.released += released;
    counts.refused += failures.length;
    if (cut + released > 0) {
      const durationMs = Number(ms.toFixed(2));
      logger.info("flows cut", { cut, deleted, released, flows, durationMs, examples });
    }
    if (failures.length > 0) {
      logger.warn("some flows not cut", { flows: failures.length, error: failures[0] });
    }
  }

  /** Lets others go first when the slice is used up. */
  async #giveWay(): Promise<void> {
    if (performance.now() - this.#sliceStartMs < SLICE_MS_MAX) return;
    await this.#clock.sleep(0);
    this.#sliceStartMs = performance.now();
  }
}

function newReport(): Report {
  return { flows: 0, cut: 0, deleted: 0, released: 0, marked: 0, failures: [], examples: [] };
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(Math.max(value, min), max);
}
