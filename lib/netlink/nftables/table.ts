/** Tables. `enum nft_table_attributes`, `enum nft_table_flags`: <linux/netfilter/nf_tables.h>. */

import { NLM_F_CREATE, NLM_F_EXCL, type RawMessage, type Request } from "../message.ts";
import { attributes, type AttributesOf, be32, be64, text } from "../schema.ts";
import {
  formatTable,
  messageKind,
  NFPROTO_UNSPEC,
  NFT_MSG_DELTABLE,
  NFT_MSG_DESTROYTABLE,
  NFT_MSG_GETTABLE,
  NFT_MSG_NEWTABLE,
  parseMessage,
  type TableReference,
  tableRequest,
} from "./message.ts";
import { type Annotation, annotationFields, annotationOf, userData } from "./user_data.ts";

/** Its chains see no packets. */
export const NFT_TABLE_F_DORMANT = 1;
/** Only the socket that made it may change it, and it goes when that socket closes. Linux 5.12. */
export const NFT_TABLE_F_OWNER = 2;
/** With OWNER: it stays when the socket closes, until the next owner takes it. Linux 6.9. */
export const NFT_TABLE_F_PERSIST = 4;

/** `enum nft_table_attributes`. */
const tableAttributes = attributes("table", {
  name: [1, text], // NFTA_TABLE_NAME
  flags: [2, be32], // NFTA_TABLE_FLAGS
  use: [3, be32], // NFTA_TABLE_USE: number of chains, sets, …
  handle: [4, be64], // NFTA_TABLE_HANDLE
  userData: [6, userData], // NFTA_TABLE_USERDATA
  owner: [7, be32], // NFTA_TABLE_OWNER: port id of the owning socket
});

const NEWTABLE = messageKind("NFT_MSG_NEWTABLE", NFT_MSG_NEWTABLE, tableAttributes);
const GETTABLE = messageKind("NFT_MSG_GETTABLE", NFT_MSG_GETTABLE, tableAttributes);
const DELTABLE = messageKind("NFT_MSG_DELTABLE", NFT_MSG_DELTABLE, tableAttributes);
const DESTROYTABLE = messageKind("NFT_MSG_DESTROYTABLE", NFT_MSG_DESTROYTABLE, tableAttributes);

/** A table to make. */
export interface NewTable extends Annotation {
  readonly table: TableReference;
  /** NFT_TABLE_F_*. */
  readonly flags?: number;
  /** Whether it is an error that it is there (EEXIST); otherwise its flags are updated. */
  readonly exclusive?: boolean;
}

/** A table as the kernel has it. */
export interface Table {
  readonly family: number;
  readonly name: string;
  readonly flags: number;
  readonly handle: bigint;
  /** How many chains, sets and other objects are in it. */
  readonly useCount: number;
  /** Port id of the socket that owns it, `undefined` when none does. */
  readonly owner: number | undefined;
  readonly comment: string | undefined;
  readonly tag: string | undefined;
}

/** `NFT_MSG_NEWTABLE`: adds a table, or updates the flags of the one that is there. */
export function newTable(
  { table, flags = 0, exclusive = false, ...annotation }: NewTable,
): Request {
  return tableRequest(NEWTABLE, table.family, subject(table), {
    name: table.name,
    flags,
    userData: annotationFields(annotation),
  }, exclusive ? NLM_F_CREATE | NLM_F_EXCL : 0);
}

/** Deletes a table with all that is in it; ENOENT when there is none. */
export function deleteTable(table: TableReference): Request {
  return tableRequest(DELTABLE, table.family, subject(table), { name: table.name });
}

/** Deletes a table if there is one. Linux 6.3. */
export function destroyTable(table: TableReference): Request {
  return tableRequest(DESTROYTABLE, table.family, subject(table), { name: table.name });
}

/** `NFT_MSG_GETTABLE` for one table; ENOENT when there is none. Reply: {@link parseTable}. */
export function getTable(table: TableReference): Request {
  return tableRequest(GETTABLE, table.family, subject(table), { name: table.name });
}

/** Dumps the tables of `family`, or of all families; each reply is for {@link parseTable}. */
export function dumpTables(family: number = NFPROTO_UNSPEC): Request {
  return tableRequest(GETTABLE, family, "tables", {});
}

/** Parses an NFT_MSG_NEWTABLE. */
export function parseTable(raw: RawMessage): Table {
  const { family, attributes } = parseMessage(NEWTABLE, raw);
  return tableOf(family, attributes);
}

/** Parses an NFT_MSG_DELTABLE notification. */
export function parseDeletedTable(raw: RawMessage): Table {
  const { family, attributes } = parseMessage(DELTABLE, raw);
  return tableOf(family, attributes);
}

function tableOf(
  family: number,
  attributes: AttributesOf<typeof tableAttributes>,
): Table {
  return {
    family,
    name: attributes.name ?? "",
    flags: attributes.flags ?? 0,
    handle: attributes.handle ?? 0n,
    useCount: attributes.use ?? 0,
    owner: attributes.owner,
    ...annotationOf(attributes.userData),
  };
}

function subject(table: TableReference): string {
  return `table ${formatTable(table)}`;
}
