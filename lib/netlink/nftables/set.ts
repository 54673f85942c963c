/**
 * Sets and maps. `enum nft_set_attributes`, `enum nft_set_flags`, `enum nft_set_desc_attributes`,
 * `enum nft_set_field_attributes`: <linux/netfilter/nf_tables.h>.
 */

import { NLM_F_CREATE, NLM_F_EXCL, type RawMessage, type Request } from "../message.ts";
import { attributes, type AttributesOf, be32, be64, list, text } from "../schema.ts";
import {
  formatTable,
  lateTableRequest,
  messageKind,
  NFT_MSG_DELSET,
  NFT_MSG_DESTROYSET,
  NFT_MSG_GETSET,
  NFT_MSG_NEWSET,
  parseMessage,
  type TableReference,
  tableRequest,
} from "./message.ts";
import {
  type Annotation,
  annotationFields,
  annotationOf,
  integerField,
  integerOf,
  UDATA_SET_COMMENT,
  UDATA_SET_KEY_BYTE_ORDER,
  userData,
} from "./user_data.ts";

export const NFT_SET_ANONYMOUS = 0x1;
export const NFT_SET_CONSTANT = 0x2;
/** Elements are ranges. */
export const NFT_SET_INTERVAL = 0x4;
/** Elements carry data. */
export const NFT_SET_MAP = 0x8;
/** Elements may go by themselves. */
export const NFT_SET_TIMEOUT = 0x10;
export const NFT_SET_EVAL = 0x20;
/** Ranges in each field of a concatenation; with INTERVAL, and `description.concat` says the fields. */
export const NFT_SET_CONCAT = 0x80;

/**
 * nft's numbers for the types of keys. The kernel compares them when a set is declared again and
 * otherwise only keeps them: they make `nft list` readable.
 */
export const TYPE_IPADDR = 7;
export const TYPE_IP6ADDR = 8;
export const TYPE_ETHERADDR = 9;
export const TYPE_INET_PROTOCOL = 12;
export const TYPE_INET_SERVICE = 13;
export const TYPE_MARK = 19;
export const TYPE_CT_STATE = 26;
export const TYPE_IFNAME = 41;

/** The type of a concatenation: nft packs its parts, six bits each. */
export function concatType(...types: readonly number[]): number {
  return types.reduce((packed, type) => ((packed << 6) | type) >>> 0, 0);
}

/** `enum nft_set_field_attributes`. */
const setField = attributes("set field", {
  length: [1, be32], // NFTA_SET_FIELD_LEN: without padding
});

/** `enum nft_set_desc_attributes`. */
const setDescription = attributes("set description", {
  size: [1, be32], // NFTA_SET_DESC_SIZE: at most so many elements; a hash of the right size at once
  concat: [2, list(setField)], // NFTA_SET_DESC_CONCAT
});

/** `enum nft_set_attributes`. */
const setAttributes = attributes("set", {
  table: [1, text], // NFTA_SET_TABLE
  name: [2, text], // NFTA_SET_NAME
  flags: [3, be32], // NFTA_SET_FLAGS
  keyType: [4, be32], // NFTA_SET_KEY_TYPE
  keyLength: [5, be32], // NFTA_SET_KEY_LEN
  dataType: [6, be32], // NFTA_SET_DATA_TYPE
  dataLength: [7, be32], // NFTA_SET_DATA_LEN
  policy: [8, be32], // NFTA_SET_POLICY
  id: [10, be32], // NFTA_SET_ID: names it within its transaction
  description: [9, setDescription], // NFTA_SET_DESC
  timeoutMs: [11, be64], // NFTA_SET_TIMEOUT
  gcIntervalMs: [12, be32], // NFTA_SET_GC_INTERVAL
  userData: [13, userData], // NFTA_SET_USERDATA
  handle: [16, be64], // NFTA_SET_HANDLE
  elementCount: [20, be32], // NFTA_SET_COUNT, Linux 6.16
});

const NEWSET = messageKind("NFT_MSG_NEWSET", NFT_MSG_NEWSET, setAttributes);
const GETSET = messageKind("NFT_MSG_GETSET", NFT_MSG_GETSET, setAttributes);
const DELSET = messageKind("NFT_MSG_DELSET", NFT_MSG_DELSET, setAttributes);
const DESTROYSET = messageKind("NFT_MSG_DESTROYSET", NFT_MSG_DESTROYSET, setAttributes);

/** A set by its table and name. */
export interface SetReference {
  readonly table: TableReference;
  readonly name: string;
}

/** A set or map to make. */
export interface NewSet extends SetReference, Annotation {
  /** Unique among the sets of a transaction. */
  readonly id: number;
  /** NFT_SET_*. */
  readonly flags: number;
  /** TYPE_* or {@link concatType}. */
  readonly keyType: number;
  /** In bytes; every field of a concatenation is padded to 4. */
  readonly keyLength: number;
  /** Order of the key, for nft's listing: `host` of names and marks, none of a concatenation. */
  readonly keyByteOrder?: ByteOrder | undefined;
  /** Of a map: NFT_DATA_VERDICT or TYPE_*. */
  readonly dataType?: number | undefined;
  /** 0 for verdicts. */
  readonly dataLength?: number | undefined;
  readonly description?: SetDescription | undefined;
  readonly timeoutMs?: number | undefined;
  /** Whether it is an error that it is there (EEXIST); one that differs is an error in any case. */
  readonly exclusive?: boolean;
}

export type ByteOrder = "host" | "network";

export interface SetDescription {
  /** At most so many elements (ENFILE past it); spares a hash its growing. */
  readonly size?: number | undefined;
  /** Lengths of the fields of a concatenation, in bytes, without padding. */
  readonly concat?: readonly number[] | undefined;
}

/** A set or map as the kernel has it, without its elements. */
export interface SetDefinition {
  readonly table: TableReference;
  readonly name: string;
  readonly handle: bigint;
  readonly flags: number;
  readonly keyType: number;
  readonly keyLength: number;
  readonly keyByteOrder: ByteOrder | undefined;
  readonly dataType: number | undefined;
  readonly dataLength: number | undefined;
  readonly description: SetDescription | undefined;
  readonly timeoutMs: number | undefined;
  /** How many elements it holds; `undefined` where the kernel does not say: before Linux 6.16. */
  readonly elementCount: number | undefined;
  readonly comment: string | undefined;
  readonly tag: string | undefined;
}

/** nft's `enum byteorder`. */
const BYTE_ORDERS: readonly (ByteOrder | undefined)[] = [undefined, "host", "network"];

/** `NFT_MSG_NEWSET`: adds a set or map without elements. */
export function newSet(set: NewSet): Request {
  const { table, name, description, timeoutMs } = set;
  return lateTableRequest(NEWSET, table.family, subject(table, name), () => ({
    table: table.name,
    name,
    flags: set.flags,
    keyType: set.keyType,
    keyLength: set.keyLength,
    dataType: set.dataType,
    dataLength: set.dataLength,
    description: description && {
      size: description.size,
      concat: description.concat?.map((length) => ({ length })),
    },
    id: set.id,
    timeoutMs: timeoutMs === undefined ? undefined : BigInt(timeoutMs),
    userData: [
      integerField(UDATA_SET_KEY_BYTE_ORDER, BYTE_ORDERS.indexOf(set.keyByteOrder)),
      ...annotationFields(set, UDATA_SET_COMMENT) ?? [],
    ],
  }), NLM_F_CREATE | (set.exclusive === true ? NLM_F_EXCL : 0));
}

/** Deletes a set with its elements; EBUSY while a rule names it. */
export function deleteSet({ table, name }: SetReference): Request {
  return tableRequest(DELSET, table.family, subject(table, name), { table: table.name, name });
}

/** Deletes a set if it is there. Linux 6.3. */
export function destroySet({ table, name }: SetReference): Request {
  return tableRequest(DESTROYSET, table.family, subject(table, name), { table: table.name, name });
}

/** `NFT_MSG_GETSET` for one set; ENOENT when there is none. Reply: {@link parseSet}. */
export function getSet({ table, name }: SetReference): Request {
  return tableRequest(GETSET, table.family, subject(table, name), { table: table.name, name });
}

/** Dumps the sets of a table, without their elements; each reply is for {@link parseSet}. */
export function dumpSets(table: TableReference): Request {
  return tableRequest(GETSET, table.family, `sets of ${formatTable(table)}`, {
    table: table.name,
  });
}

/** Parses an NFT_MSG_NEWSET. */
export function parseSet(raw: RawMessage): SetDefinition {
  const { family, attributes } = parseMessage(NEWSET, raw);
  return setOf(family, attributes);
}

/** Parses an NFT_MSG_DELSET notification. */
export function parseDeletedSet(raw: RawMessage): SetDefinition {
  const { family, attributes } = parseMessage(DELSET, raw);
  return setOf(family, attributes);
}

function setOf(family: number, attributes: AttributesOf<typeof setAttributes>): SetDefinition {
  const { description, timeoutMs, userData } = attributes;
  const byteOrder = integerOf(userData, UDATA_SET_KEY_BYTE_ORDER) ?? 0;
  return {
    table: { family, name: attributes.table ?? "" },
    name: attributes.name ?? "",
    handle: attributes.handle ?? 0n,
    flags: attributes.flags ?? 0,
    keyType: attributes.keyType ?? 0,
    keyLength: attributes.keyLength ?? 0,
    keyByteOrder: BYTE_ORDERS[byteOrder],
    dataType: attributes.dataType,
    dataLength: attributes.dataLength,
    description: descriptionOf(description),
    timeoutMs: timeoutMs === undefined ? undefined : Number(timeoutMs),
    elementCount: attributes.elementCount,
    ...annotationOf(userData, UDATA_SET_COMMENT),
  };
}

/** The kernel always sends a description, if only an empty one. */
function descriptionOf(
  attributes: AttributesOf<typeof setDescription> | undefined,
): SetDescription | undefined {
  if (attributes?.size === undefined && attributes?.concat === undefined) return undefined;
  return { size: attributes.size, concat: attributes.concat?.map((it) => it.length ?? 0) };
}

function subject(table: TableReference, name: string): string {
  return `set ${formatTable(table)} ${name}`;
}
