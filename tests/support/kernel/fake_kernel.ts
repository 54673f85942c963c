/**
 * nf_tables without a kernel, and so without root: it takes the very messages that the dataplane sends,
 * decodes them, and refuses what the kernel refuses: what is not there, is there already, is in use or
 * overlaps; a transaction is in force whole or not at all. `nftables_suite.ts` is asked of both.
 *
 * Not for packets: nothing is matched. It knows no loops, no quotas of depth, no key types; one process
 * alone talks to it.
 */

import { assert } from "../../../lib/base/assert.ts";
import { viewOf, Writer } from "../../../lib/netlink/buffer.ts";
import { NetlinkBatchError, NetlinkError } from "../../../lib/netlink/error.ts";
import {
  decodeMessages,
  encodeRequest,
  NLM_F_APPEND,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type RawMessage,
  type Request,
} from "../../../lib/netlink/message.ts";
import { parseChain } from "../../../lib/netlink/nftables/chain.ts";
import { newElements, parseElements } from "../../../lib/netlink/nftables/element_list.ts";
import {
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  NFT_MSG_GETCHAIN,
  NFT_MSG_GETGEN,
  NFT_MSG_GETRULE,
  NFT_MSG_GETSET,
  NFT_MSG_GETSETELEM,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWGEN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
} from "../../../lib/netlink/nftables/message.ts";
import { parseRule } from "../../../lib/netlink/nftables/rule.ts";
import { parseSet } from "../../../lib/netlink/nftables/set.ts";
import {
  NFT_TABLE_F_OWNER,
  NFT_TABLE_F_PERSIST,
  parseTable,
} from "../../../lib/netlink/nftables/table.ts";
import { FakeTable, type Refusal, RefusalError, refuse } from "./fake_table.ts";

/** <asm-generic/errno-base.h>, <asm-generic/errno.h>; ERESTART is the kernel's own. */
const ERRNOS: Readonly<Record<Refusal, number>> = {
  ENOENT: 2,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ENFILE: 23,
  ERESTART: 85,
  EOPNOTSUPP: 95,
};

const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const PORT_ID = 4711;
/** Attributes that the kernel adds: NFTA_TABLE_HANDLE and so on, NFTA_TABLE_OWNER, NFTA_GEN_ID. */
const HANDLES = { table: 4, chain: 2, rule: 3, set: 16 } as const;
const NFTA_TABLE_OWNER = 7;
const NFTA_GEN_ID = 1;

/** A table, and what is said of it besides. */
interface Entry {
  readonly flags: number;
  readonly message: Uint8Array;
  readonly table: FakeTable;
}

/** One network namespace's tables, and the one socket to them: a `DataplaneSocket`. */
export class FakeKernel {
  #tables: ReadonlyMap<string, Entry> = new Map();
  #generation = 1;
  #handle = 0n;
  /** How many transactions it was sent, refused ones too. */
  batches = 0;
  /** Called before each transaction; what it throws is what the transaction ends with. */
  onBatch: () => void = () => {};

  request(request: Request): readonly RawMessage[] {
    try {
      return this.#get(decode(request));
    } catch (error) {
      throw toNetlinkError(request, error);
    }
  }

  *dumpParts(request: Request): Generator<readonly RawMessage[], boolean, void> {
    try {
      yield this.#dump(decode(request));
    } catch (error) {
      throw toNetlinkError(request, error);
    }
    return true;
  }

  /** Takes effect at once, in the order of the calls; answers as late as the socket does. */
  batch(requests: readonly Request[]): Promise<readonly RawMessage[]> {
    return Promise.resolve().then(() => this.#batch(requests));
  }

  #batch(requests: readonly Request[]): readonly RawMessage[] {
    this.batches++;
    this.onBatch();
    const before = this.#tables;
    const failures: NetlinkError[] = [];
    const echoes: RawMessage[] = [];
    this.#tables = new Map(
      [...before].map(([name, it]) => [name, { ...it, table: it.table.clone() }]),
    );
    let isWhole = false;
    for (const request of requests) {
      try {
        if (request.type === BATCH_BEGIN) this.#begin(decode(request));
        else if (request.type === BATCH_END) isWhole = true;
        else echoes.push(...this.#change(decode(request)));
      } catch (error) {
        failures.push(toNetlinkError(request, error));
      }
    }
    if (!isWhole || failures.length > 0) this.#tables = before;
    else if (requests.length > 2) this.#generation++;
    if (failures.length > 0) throw new NetlinkBatchError(failures);
    return echoes;
  }

  /** NFNL_BATCH_GENID: another process has committed since. */
  #begin({ payload }: RawMessage): void {
    if (payload.length < 12) return;
    if (viewOf(payload).getUint32(8) !== this.#generation) refuse("ERESTART");
  }

  #change(raw: RawMessage): readonly RawMessage[] {
    const isExclusive = (raw.flags & NLM_F_EXCL) !== 0;
    const kind = kindOf(raw);
    switch (kind) {
      case NFT_MSG_NEWTABLE: {
        this.#putTable(raw, isExclusive);
        return [];
      }
      case NFT_MSG_DELTABLE: {
        const tables = new Map(this.#tables);
        if (!tables.delete(nameOf(as(NFT_MSG_NEWTABLE, raw)))) refuse("ENOENT");
        this.#tables = tables;
        return [];
      }
      case NFT_MSG_NEWCHAIN: {
        const chain = parseChain(raw);
        this.#table(chain.table).putChain(chain, this.#make(raw, HANDLES.chain), isExclusive);
        return [];
      }
      case NFT_MSG_DELCHAIN: {
        const chain = parseChain(as(NFT_MSG_NEWCHAIN, raw));
        this.#table(chain.table).deleteChain(chain.name);
        return [];
      }
      case NFT_MSG_NEWRULE: {
        const rule = parseRule(raw);
        const made = this.#make(raw, HANDLES.rule);
        const place = (raw.flags & NLM_F_REPLACE) !== 0
          ? "replace"
          : (raw.flags & NLM_F_APPEND) !== 0
          ? "last"
          : "first";
        const { expressions } = rule;
        this.#table(rule.table).putRule(rule, { ...made, expressions }, place);
        return (raw.flags & NLM_F_ECHO) === 0 ? [] : [reply(NFT_MSG_NEWRULE, made.message)];
      }
      case NFT_MSG_DELRULE: {
        const { table, chain, handle } = parseRule(as(NFT_MSG_NEWRULE, raw));
        this.#table(table).deleteRules(chain, handle);
        return [];
      }
      case NFT_MSG_NEWSET: {
        const set = parseSet(raw);
        this.#table(set.table).putSet(set, this.#make(raw, HANDLES.set), isExclusive);
        return [];
      }
      case NFT_MSG_DELSET: {
        const set = parseSet(as(NFT_MSG_NEWSET, raw));
        this.#table(set.table).deleteSet(set.name);
        return [];
      }
      case NFT_MSG_NEWSETELEM: {
        const { table, set, elements } = parseElements(raw);
        this.#table(table).addElements(set, elements, isExclusive);
        return [];
      }
      case NFT_MSG_DELSETELEM: {
        const { table, set, elements } = parseElements(as(NFT_MSG_NEWSETELEM, raw));
        this.#table(table).deleteElements(set, elements);
        return [];
      }
      default:
        return refuse("EINVAL");
    }
  }

  /** `nf_tables_newtable()`, `nf_tables_updtable()`. */
  #putTable(raw: RawMessage, isExclusive: boolean): void {
    const { flags } = parseTable(raw);
    const name = nameOf(raw);
    const there = this.#tables.get(name);
    if (there !== undefined) {
      if (isExclusive) refuse("EEXIST");
      const changed = flags ^ there.flags;
      const adopts = (there.flags & NFT_TABLE_F_PERSIST) !== 0 && (flags & NFT_TABLE_F_OWNER) !== 0;
      if ((changed & NFT_TABLE_F_PERSIST) !== 0) refuse("EOPNOTSUPP");
      if ((changed & NFT_TABLE_F_OWNER) !== 0 && !adopts) refuse("EOPNOTSUPP");
    }
    const made = there ?? this.#make(raw, HANDLES.table);
    const table = there?.table ?? new FakeTable();
    const message = there === undefined || there.flags === flags ? made.message : raw.payload;
    this.#tables = new Map(this.#tables).set(name, { flags, message, table });
  }

  #get(raw: RawMessage): readonly RawMessage[] {
    switch (kindOf(raw)) {
      case NFT_MSG_GETGEN: {
        const id = new Uint8Array(4);
        viewOf(id).setUint32(0, this.#generation);
        return [reply(NFT_MSG_NEWGEN, append(new Uint8Array(4), NFTA_GEN_ID, id))];
      }
      case NFT_MSG_GETTABLE:
        return [this.#tableReply(this.#entry(nameOf(as(NFT_MSG_NEWTABLE, raw))))];
      case NFT_MSG_GETCHAIN: {
        const { table, name } = parseChain(as(NFT_MSG_NEWCHAIN, raw));
        const chain = this.#table(table).chains.get(name) ?? refuse("ENOENT");
        return [reply(NFT_MSG_NEWCHAIN, chain.message)];
      }
      default:
        return refuse("EINVAL");
    }
  }

  #dump(raw: RawMessage): readonly RawMessage[] {
    const tables = [...this.#tables.values()].map((it) => it.table);
    switch (kindOf(raw)) {
      case NFT_MSG_GETTABLE:
        return [...this.#tables.values()].map((it) => this.#tableReply(it));
      case NFT_MSG_GETCHAIN: // of every table of the family, as the kernel does
        return tables.flatMap((it) =>
          [...it.chains.values()].map(({ message }) => reply(NFT_MSG_NEWCHAIN, message))
        );
      case NFT_MSG_GETRULE: {
        const { table, chain } = parseRule(as(NFT_MSG_NEWRULE, raw));
        const chains = [...this.#find(table)?.chains ?? []];
        return chains.filter(([name]) => chain === "" || name === chain).flatMap(([, { rules }]) =>
          rules.map(({ message }) => reply(NFT_MSG_NEWRULE, message))
        );
      }
      case NFT_MSG_GETSET: {
        const { table } = parseSet(as(NFT_MSG_NEWSET, raw));
        const sets = [...this.#table(table).sets.values()];
        return sets.map(({ message }) => reply(NFT_MSG_NEWSET, message));
      }
      case NFT_MSG_GETSETELEM: {
        const { table, set } = parseElements(as(NFT_MSG_NEWSETELEM, raw));
        const elements = [...this.#table(table).set(set).elements.values()];
        return newElements({ table, set, elements }).map(decode);
      }
      default:
        return refuse("EINVAL");
    }
  }

  #tableReply({ flags, message }: Entry): RawMessage {
    const owner = new Uint8Array(4);
    viewOf(owner).setUint32(0, PORT_ID);
    const isOwned = (flags & NFT_TABLE_F_OWNER) !== 0;
    return reply(NFT_MSG_NEWTABLE, isOwned ? append(message, NFTA_TABLE_OWNER, owner) : message);
  }

  #make(raw: RawMessage, attribute: number): { handle: bigint; message: Uint8Array } {
    const handle = ++this.#handle;
    const bytes = new Uint8Array(8);
    viewOf(bytes).setBigUint64(0, handle);
    return { handle, message: append(raw.payload, attribute, bytes) };
  }

  #entry(name: string): Entry {
    return this.#tables.get(name) ?? refuse("ENOENT");
  }

  #find(
    { family, name }: { readonly family: number; readonly name: string },
  ): FakeTable | undefined {
    return this.#tables.get(`${family} ${name}`)?.table;
  }

  #table(reference: { readonly family: number; readonly name: string }): FakeTable {
    return this.#find(reference) ?? refuse("ENOENT");
  }
}

/** A request as the kernel receives it. */
function decode(request: Request): RawMessage {
  const writer = new Writer();
  encodeRequest(writer, request, 0);
  const [raw] = decodeMessages(writer.bytes);
  assert(raw !== undefined, "A request is a message");
  return raw;
}

function kindOf({ type }: RawMessage): number {
  assert(type >> 8 === NFNL_SUBSYS_NFTABLES, `Message type ${type} is nf_tables'`);
  return type & 0xff;
}

/** The same message as one of another kind: DEL and GET have the attributes of NEW. */
function as(kind: number, raw: RawMessage): RawMessage {
  return { ...raw, type: (NFNL_SUBSYS_NFTABLES << 8) | kind };
}

function reply(kind: number, payload: Uint8Array): RawMessage {
  const type = (NFNL_SUBSYS_NFTABLES << 8) | kind;
  return { type, flags: 0, sequence: 0, portId: PORT_ID, payload };
}

function nameOf(raw: RawMessage): string {
  const { family, name } = parseTable(raw);
  return `${family} ${name}`;
}

/** A message with one attribute more. */
function append(payload: Uint8Array, attribute: number, value: Uint8Array): Uint8Array {
  const start = (payload.length + 3) & ~3;
  const longer = new Uint8Array(start + 4 + value.length);
  longer.set(payload);
  const header = new Uint16Array([4 + value.length, attribute]);
  longer.set(new Uint8Array(header.buffer), start);
  longer.set(value, start + 4);
  return longer;
}

function toNetlinkError(request: Request, error: unknown): NetlinkError {
  if (!(error instanceof RefusalError)) throw error;
  const operation = `${request.name} ${request.subject}`.trim();
  return new NetlinkError(operation, ERRNOS[error.code], error.code, { request });
}
