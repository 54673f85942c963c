/**
 * Puts a ruleset into the kernel: reads what is there when it does not know, sends the difference,
 * remembers what it sent. The table is ours alone where the kernel can say so
 * (owner, Linux 5.12) and outlives us (persist, 6.9); nothing outside it is read or touched.
 */

import { assert } from "../base/assert.ts";
import type { Logger } from "../base/log.ts";
import { Turns } from "../base/turns.ts";
import { isNotFound, NetlinkBatchError, NetlinkError } from "../netlink/error.ts";
import type { RawMessage, Request } from "../netlink/message.ts";
import { beginBatch, transaction } from "../netlink/nftables/batch.ts";
import { getChain, parseChain } from "../netlink/nftables/chain.ts";
import { getGeneration, parseGeneration } from "../netlink/nftables/generation.ts";
import {
  deleteTable,
  getTable,
  newTable,
  NFT_TABLE_F_DORMANT,
  parseTable,
  type Table,
} from "../netlink/nftables/table.ts";
import {
  CHAIN_FORWARD_EGRESS,
  CHAIN_FORWARD_INGRESS,
  CHAIN_INPUT,
  CHAIN_OUTPUT,
} from "./compile/names.ts";
import { diff, type Difference, diffWhole } from "./diff.ts";
import { OWNED, planTable, type TablePlan } from "./ownership.ts";
import { type ReaderSocket, readTable } from "./read.ts";
import type { Ruleset } from "./ruleset.ts";
import type { Sent, SentSet } from "./sent.ts";
import { TABLE } from "./table.ts";

/** The part of a netlink socket (NETLINK_NETFILTER) that the dataplane uses. */
export interface DataplaneSocket extends ReaderSocket {
  request(request: Request): readonly RawMessage[];
  batch(requests: readonly Request[]): Promise<readonly RawMessage[]>;
}

/** Options of the dataplane. */
export interface DataplaneOptions {
  /** Whether to own the table, if the kernel can, so that no other program changes it. @default {true} */
  readonly mayOwn?: boolean;
  /** Reads the table, which takes many turns of the event loop. @default the socket that writes */
  readonly reader?: ReaderSocket;
  /**
   * Counts the changes of our table by other processes, known or possible. Without it every commit of
   * theirs counts, to any table.
   */
  readonly foreignChanges?: () => number;
}

/** What an apply did. */
export interface Applied {
  /** Number of messages sent; 0 if the kernel had the ruleset already. */
  readonly requests: number;
  readonly chains: number;
  readonly sets: number;
  readonly elements: number;
}

/** How often reading starts again because another process committed meanwhile. */
const READ_ATTEMPTS_MAX = 5;
const BASE_CHAINS = [CHAIN_FORWARD_EGRESS, CHAIN_FORWARD_INGRESS, CHAIN_INPUT, CHAIN_OUTPUT];
const NOTHING_KNOWN: ReadonlyMap<string, SentSet> = new Map();

/** A point in time in the count of other programs' changes. */
interface Moment {
  readonly generation: number | undefined;
  readonly foreignChanges: number | undefined;
}

/** The table `inet calyx`. */
export class Dataplane {
  readonly #socket: DataplaneSocket;
  readonly #logger: Logger;
  readonly #options: DataplaneOptions;
  #sent: Sent | undefined;
  /** The sets as they were when a comparison was asked for, and when that was. */
  #doubted: { readonly sets: ReadonlyMap<string, SentSet>; readonly moment: Moment } | undefined;
  /** The moment at which the kernel's state was last known. */
  #sentMoment: Moment = { generation: undefined, foreignChanges: undefined };
  /** A counter, so that a request during a transaction is not lost. */
  #invalidations = 0;
  #isOwned: boolean | undefined;
  /** Whether the kernel has owner|persist tables, as far as it was asked. */
  #canOwn = true;

  constructor(socket: DataplaneSocket, logger: Logger, options: DataplaneOptions = {}) {
    this.#socket = socket;
    this.#logger = logger;
    this.#options = options;
  }

  /** The port id of the socket that commits: every notification of a commit carries it. */
  get portId(): number {
    const [raw] = this.#socket.request(getGeneration());
    assert(raw !== undefined, "The kernel answers NFT_MSG_GETGEN with a message");
    return raw.portId;
  }

  /** Whether the agent owns the table, so that no other program can change it; `undefined` before the first apply. */
  get isOwned(): boolean | undefined {
    return this.#isOwned;
  }

  /** Call when the kernel's state is unknown: the next apply reads it. */
  invalidate(): void {
    this.#invalidations++;
    this.#sent = undefined;
    this.#doubted = undefined;
  }

  /**
   * The next apply compares with the kernel: every chain and rule, and which sets there are. Elements it
   * reads only if another process can have changed them since we sent them.
   */
  doubt(): void {
    const sent = this.#sent;
    this.invalidate();
    if (sent !== undefined) this.#doubt(sent);
  }

  #doubt({ sets }: Sent): void {
    this.#sent = undefined;
    this.#doubted = { sets, moment: this.#sentMoment };
  }

  /**
   * Makes the kernel enforce `ruleset`. All of it is in force when this returns; when it throws, packets
   * meet what they met before, or all of it, and never a part.
   *
   * @throws {NetlinkBatchError | NetlinkError} if the kernel refuses
   */
  async apply(ruleset: Ruleset): Promise<Applied> {
    const invalidations = this.#invalidations;
    const known = this.#sent && diff(this.#sent, ruleset, this.#flags);
    if (known === undefined && this.#sent !== undefined) this.#doubt(this.#sent);
    const { transactions, sent, changed } = known ?? await this.#compare(ruleset);
    const turns = new Turns();
    let requests = 0;
    for (const part of transactions) {
      this.#sent = undefined; // until the kernel has taken all
      await turns.pass();
      await this.#socket.batch(transaction(part));
      requests += part.length;
    }
    if (invalidations === this.#invalidations) {
      this.#sent = sent;
      this.#doubted = undefined;
    }
    return { requests, ...changed };
  }

  /**
   * Whether the table is at work: there, not dormant, and with rules in each base chain that every
   * version has. Their rules are not compared. While it is not at work, all packets of pods pass.
   *
   * @throws {NetlinkError} if the kernel refuses
   */
  isAtWork(): boolean {
    const table = this.#table();
    if (table === undefined || (table.flags & NFT_TABLE_F_DORMANT) !== 0) return false;
    return BASE_CHAINS.every((name) => this.#hasRules(name));
  }

  #hasRules(name: string): boolean {
    try {
      const [chain] = this.#socket.request(getChain({ table: TABLE, name })).map(parseChain);
      return chain?.hook !== undefined && chain.useCount > 0;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** Deletes the table; returns whether there was one. */
  async remove(): Promise<boolean> {
    this.invalidate();
    if (this.#table() === undefined) return false;
    try {
      await this.#socket.batch(transaction([deleteTable(TABLE)]));
    } catch (error) {
      throw explainOwner(error);
    }
    this.#isOwned = undefined;
    return true;
  }

  /** The flags that a new table gets. */
  get #flags(): number {
    return this.#isOwned === true ? OWNED : 0;
  }

  /** Reads the kernel, and computes the difference to `ruleset`. */
  async #compare(ruleset: Ruleset): Promise<Difference> {
    const { flags, isRemade } = await this.#takeTable();
    this.#isOwned = flags === OWNED;
    if (isRemade) {
      this.#logger.info("table replaced to own it: its counters begin at 0");
      this.#sentMoment = this.#moment();
      return diffWhole(ruleset, flags);
    }
    const difference = diff(await this.#read(ruleset), ruleset, this.#flags);
    assert(difference !== undefined, "A table that was just read is known");
    return difference;
  }

  /** Adds the table, or takes ownership of an earlier agent's; returns the plan that it followed. */
  async #takeTable(): Promise<TablePlan> {
    const isOwned = (this.#options.mayOwn ?? true) && this.#canOwn;
    const plan = planTable(this.#table(), isOwned);
    const declared = newTable({ table: TABLE, flags: plan.flags });
    try {
      // The kernel validates a transaction without an end, and does not commit it.
      if (plan.isRemade) await this.#socket.batch([beginBatch(), deleteTable(TABLE), declared]);
      else await this.#socket.batch(transaction([declared]));
      return plan;
    } catch (error) {
      if (!isOwned || !isUnsupported(error)) throw explainOwner(error);
      this.#canOwn = false; // said once, and not asked at each resync
      this.#logger.warn("table not owned: owner|persist needs Linux 6.9", { error });
      return await this.#takeTable();
    }
  }

  #table(): Table | undefined {
    try {
      return this.#socket.request(getTable(TABLE)).map(parseTable)[0];
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Reads our table; the elements only of those sets that `ruleset` has too. */
  async #read(ruleset: Ruleset): Promise<Sent> {
    const { reader = this.#socket } = this.#options;
    for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt++) {
      const moment = this.#moment();
      const known = this.#doubted !== undefined && this.#isQuietSince(this.#doubted.moment)
        ? this.#doubted.sets
        : NOTHING_KNOWN;
      const sent = await readTable(reader, { ruleset, known });
      if (!this.#isQuietSince(moment)) continue;
      this.#sentMoment = moment;
      return sent;
    }
    throw new NetlinkError("read table inet calyx: it keeps changing", 85, "ERESTART");
  }

  #moment(): Moment {
    const [raw] = this.#socket.request(getGeneration());
    return {
      generation: raw && parseGeneration(raw).id,
      foreignChanges: this.#options.foreignChanges?.(),
    };
  }

  /** Whether no other process has changed our table since. */
  #isQuietSince({ generation, foreignChanges }: Moment): boolean {
    if (this.#isOwned === true) return true; // none can
    const now = this.#moment();
    if (now.foreignChanges !== undefined) return now.foreignChanges === foreignChanges;
    return now.generation === generation;
  }
}

function codesOf(error: unknown): readonly string[] {
  if (error instanceof NetlinkBatchError) return error.failures.map((it) => it.code);
  return error instanceof NetlinkError ? [error.code] : [];
}

function isUnsupported(error: unknown): boolean {
  return codesOf(error).some((it) => it === "EOPNOTSUPP" || it === "EINVAL");
}

function explainOwner(error: unknown): unknown {
  if (!codesOf(error).includes("EPERM")) return error;
  return new Error(
    "Cannot own table inet calyx: another calyx-agent owns it, or CAP_NET_ADMIN is missing",
    { cause: error },
  );
}
