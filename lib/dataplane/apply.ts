/**
 * Puts a ruleset into the kernel: reads what is there when it does not know, sends the difference,
 * remembers what it sent. The table is ours alone where the kernel can say so
 * (owner, Linux 5.12) and outlives us (persist, 6.9); nothing outside it is read or touched.
 */

import { assert } from "../base/assert.ts";
import type { Logger } from "../base/log.ts";
import { isNotFound, NetlinkBatchError, NetlinkError } from "../netlink/error.ts";
import type { RawMessage, Request } from "../netlink/message.ts";
import { transaction } from "../netlink/nftables/batch.ts";
import { dumpChains, parseChain } from "../netlink/nftables/chain.ts";
import { dumpElements, parseElements } from "../netlink/nftables/element_list.ts";
import { getGeneration, parseGeneration } from "../netlink/nftables/generation.ts";
import { dumpRules, parseRule } from "../netlink/nftables/rule.ts";
import { dumpSets, parseSet } from "../netlink/nftables/set.ts";
import {
  deleteTable,
  getTable,
  newTable,
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
} from "../netlink/nftables/table.ts";
import { diff } from "./diff.ts";
import { formatHook } from "./diff_chains.ts";
import { listContents } from "./diff_sets.ts";
import type { Ruleset } from "./ruleset.ts";
import type { Sent, SentChain, SentSet } from "./sent.ts";
import { TABLE } from "./table.ts";

/** The part of a netlink socket (NETLINK_NETFILTER) that the dataplane uses. */
export interface DataplaneSocket {
  request(request: Request): readonly RawMessage[];
  dump(request: Request): readonly RawMessage[];
  batch(requests: readonly Request[]): Promise<readonly RawMessage[]>;
}

/** What an apply did. */
export interface Applied {
  /** Messages sent; 0 when everything was right already. */
  readonly requests: number;
  readonly chains: number;
  readonly sets: number;
  readonly elements: number;
}

const OWNED = NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST;
/** How often reading starts again because somebody committed meanwhile. */
const READ_ATTEMPTS_MAX = 5;

/** The table `inet calyx`. */
export class Dataplane {
  readonly #socket: DataplaneSocket;
  readonly #logger: Logger;
  readonly #mayOwn: boolean;
  #sent: Sent | undefined;
  /** Counts, so that one that comes while a transaction is on its way is not forgotten. */
  #invalidations = 0;
  #tableFlags: number | undefined;
  /** Whether the kernel has owner|persist tables, as far as it was asked. */
  #canOwn = true;

  /** @param options.mayOwn whether to keep others out of the table, where the kernel can. */
  constructor(
    socket: DataplaneSocket,
    logger: Logger,
    options: { readonly mayOwn?: boolean } = {},
  ) {
    this.#socket = socket;
    this.#logger = logger;
    this.#mayOwn = options.mayOwn ?? true;
  }

  /** The port id of the socket that commits: every notification of a commit carries it. */
  get portId(): number {
    const [raw] = this.#socket.request(getGeneration());
    assert(raw !== undefined, "The kernel answers NFT_MSG_GETGEN with a message");
    return raw.portId;
  }

  /** Whether the kernel keeps everybody else out of the table; `undefined` before the first apply. */
  get isOwned(): boolean | undefined {
    return this.#tableFlags === undefined ? undefined : this.#tableFlags === OWNED;
  }

  /** What is in the kernel is no longer known: the next apply reads it. */
  invalidate(): void {
    this.#invalidations++;
    this.#sent = undefined;
  }

  /**
   * Makes the kernel enforce `ruleset`. All of it is in force when this returns; when it throws, packets meet
   * what they met before.
   *
   * @throws {NetlinkBatchError | NetlinkError} if the kernel refuses
   */
  async apply(ruleset: Ruleset): Promise<Applied> {
    const invalidations = this.#invalidations;
    const flags = this.#tableFlags ??= await this.#makeTable();
    let difference = this.#sent && diff(this.#sent, ruleset, flags);
    if (difference === undefined) {
      await this.#makeTable(); // somebody may have deleted one that is not owned
      difference = diff(this.#read(ruleset), ruleset, flags);
    }
    if (difference === undefined) throw new TypeError("A kernel just read says enough");
    const { transactions, sent, changed } = difference;
    for (const requests of transactions) {
      this.#sent = undefined; // until the kernel has taken all
      await this.#socket.batch(transaction(requests));
    }
    this.#sent = invalidations === this.#invalidations ? sent : undefined;
    return { requests: transactions.flat().length, ...changed };
  }

  /** Deletes the table; whether there was one. */
  async remove(): Promise<boolean> {
    this.#sent = undefined;
    if (!this.#hasTable()) return false;
    await this.#makeTable(); // a persistent table without owner is deleted by its next owner
    await this.#socket.batch(transaction([deleteTable(TABLE)]));
    this.#tableFlags = undefined;
    return true;
  }

  /**
   * Makes the table, or takes over the one that a former agent left.
   *
   * @returns its flags
   */
  async #makeTable(): Promise<number> {
    for (const flags of this.#mayOwn && this.#canOwn ? [OWNED, 0] : [0]) {
      try {
        await this.#socket.batch(transaction([newTable({ table: TABLE, flags })]));
        return flags;
      } catch (error) {
        if (!isUnsupported(error) || flags === 0) throw explainOwner(error);
        this.#canOwn = false; // said once, and not asked at each resync
        this.#logger.warn("table is not ours alone: owner|persist needs Linux 6.9", { error });
      }
    }
    throw new TypeError("Unreachable");
  }

  #hasTable(): boolean {
    try {
      return this.#socket.request(getTable(TABLE)).length > 0;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** Reads our table; the elements only of those sets that `ruleset` has too. */
  #read(ruleset: Ruleset): Sent {
    for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt++) {
      const generation = this.#generation();
      const sent = { chains: this.#readChains(), sets: this.#readSets(ruleset) };
      if (this.#generation() === generation) return sent;
    }
    throw new NetlinkError("read table inet calyx: it keeps changing", 85, "ERESTART");
  }

  #readChains(): Map<string, SentChain> {
    const tags = new Map<string, string[]>();
    for (const raw of this.#socket.dump(dumpRules(TABLE))) {
      const rule = parseRule(raw);
      if (rule.table.name !== TABLE.name) continue;
      const chain = tags.get(rule.chain) ?? [];
      chain.push(rule.tag ?? "");
      tags.set(rule.chain, chain);
    }
    const chains = new Map<string, SentChain>();
    for (const raw of this.#socket.dump(dumpChains(TABLE))) {
      const { table, name, hook } = parseChain(raw);
      if (table.name !== TABLE.name) continue;
      chains.set(name, { hook: hook && formatHook(hook), tags: tags.get(name)?.join(" ") ?? "" });
    }
    return chains;
  }

  #readSets(ruleset: Ruleset): Map<string, SentSet> {
    const sets = new Map<string, SentSet>();
    for (const raw of this.#socket.dump(dumpSets(TABLE))) {
      const { table, name, tag = "" } = parseSet(raw);
      if (table.name !== TABLE.name) continue;
      const contents = ruleset.sets.has(name) ? this.#readElements(name) : new Map();
      sets.set(name, { tag, elements: { kind: "listed", contents } });
    }
    return sets;
  }

  #readElements(name: string): Map<string, string> {
    const messages = this.#socket.dump(dumpElements(TABLE, name));
    return listContents(messages.flatMap((raw) => parseElements(raw).elements));
  }

  #generation(): number | undefined {
    const [raw] = this.#socket.request(getGeneration());
    return raw && parseGeneration(raw).id;
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
