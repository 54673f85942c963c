/**
 * Requests that add elements to a set or take them away, and what a dump brings. A netlink attribute
 * holds 65,535 bytes, so a long list becomes several requests; they belong into one transaction.
 * `enum nft_set_elem_list_attributes`: <linux/netfilter/nf_tables.h>.
 */

import { assert } from "../../base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN, Writer } from "../buffer.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type RawMessage, type Request } from "../message.ts";
import { attributes, be32, bytes, NLA_F_NESTED, text } from "../schema.ts";
import { ATTRIBUTE_HEADER, refusedEntry, spans } from "./attribute_span.ts";
import { type Element, readElement, writeElement } from "./element.ts";
import {
  formatTable,
  messageKind,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DESTROYSETELEM,
  NFT_MSG_GETSETELEM,
  NFT_MSG_NEWSETELEM,
  parseMessage,
  type TableReference,
  tableRequest,
} from "./message.ts";

/** A nest that is kept as bytes, for what is written and read by hand. */
const nestedBytes = { ...bytes, nested: true, read: (payload: Uint8Array) => payload };

const ELEMENTS = 3;

/** `enum nft_set_elem_list_attributes`. */
const listAttributes = attributes("elements", {
  table: [1, text], // NFTA_SET_ELEM_LIST_TABLE
  set: [2, text], // NFTA_SET_ELEM_LIST_SET
  setId: [4, be32], // NFTA_SET_ELEM_LIST_SET_ID
  elements: [ELEMENTS, nestedBytes], // NFTA_SET_ELEM_LIST_ELEMENTS
});

const NEWSETELEM = messageKind("NFT_MSG_NEWSETELEM", NFT_MSG_NEWSETELEM, listAttributes);
const GETSETELEM = messageKind("NFT_MSG_GETSETELEM", NFT_MSG_GETSETELEM, listAttributes);
const DELSETELEM = messageKind("NFT_MSG_DELSETELEM", NFT_MSG_DELSETELEM, listAttributes);
const DESTROYSETELEM = messageKind(
  "NFT_MSG_DESTROYSETELEM",
  NFT_MSG_DESTROYSETELEM,
  listAttributes,
);

/** Bytes of elements in one request, below what an attribute's 16-bit length can say. */
const ELEMENTS_BYTES_MAX = 60_000;
/** NFTA_LIST_ELEM. */
const LIST_ELEMENT = 1 | NLA_F_NESTED;

/** Elements of one set. */
export interface ElementList {
  readonly table: TableReference;
  readonly set: string;
  /** `NewSet.id` when the set is made in the same transaction; its name does as well. */
  readonly setId?: number | undefined;
  readonly elements: Iterable<Element>;
}

/** Elements of one set, as the kernel sent them. */
export interface ParsedElementList extends ElementList {
  readonly elements: readonly Element[];
}

/**
 * Adds elements.
 *
 * @param options.exclusive whether it is an error (EEXIST) that one is there; otherwise only other data
 * for the same key is
 */
export function newElements(
  elements: ElementList,
  options: { readonly exclusive?: boolean } = {},
): Request[] {
  const flags = NLM_F_CREATE | (options.exclusive === true ? NLM_F_EXCL : 0);
  return elementRequests(NEWSETELEM, elements, flags);
}

/** Deletes elements; ENOENT when one is not there. */
export function deleteElements(elements: ElementList): Request[] {
  return elementRequests(DELSETELEM, elements);
}

/** Deletes those of the elements that are there. Linux 6.3. */
export function destroyElements(elements: ElementList): Request[] {
  return elementRequests(DESTROYSETELEM, elements);
}

/** Deletes every element of a set; slow where it holds interval concatenations (quadratic). */
export function flushElements(table: TableReference, set: string): Request {
  return tableRequest(DELSETELEM, table.family, subject(table, set), { table: table.name, set });
}

/** Dumps the elements of a set; each reply is for {@link parseElements}. */
export function dumpElements(table: TableReference, set: string): Request {
  return tableRequest(GETSETELEM, table.family, subject(table, set), { table: table.name, set });
}

/** Parses an NFT_MSG_NEWSETELEM; a dump has several for a long set. */
export function parseElements(raw: RawMessage): ParsedElementList {
  return elementsOf(NEWSETELEM, raw);
}

/** Parses an NFT_MSG_DELSETELEM notification. */
export function parseDeletedElements(raw: RawMessage): ParsedElementList {
  return elementsOf(DELSETELEM, raw);
}

/**
 * The element that the kernel refused.
 *
 * @param attributeOffset `NetlinkError.attributeOffset`
 */
export function refusedElement(request: Request, attributeOffset: number): Element | undefined {
  const entry = refusedEntry(request, ELEMENTS, attributeOffset);
  return entry && readElement(entry);
}

function elementRequests(
  kind: typeof NEWSETELEM,
  { table, set, setId, elements }: ElementList,
  flags = 0,
): Request[] {
  return [...chunks(elements)].map((chunk) => ({
    ...tableRequest(kind, table.family, subject(table, set), {
      table: table.name,
      set,
      setId,
      elements: chunk,
    }, flags),
    bytes: chunk.length,
  }));
}

/** The encoded elements, in pieces that fit into an attribute. */
function* chunks(elements: Iterable<Element>): Generator<Uint8Array> {
  const writer = new Writer(1024);
  for (const element of elements) {
    const start = writer.length;
    writer.u16(0, HOST_IS_LITTLE_ENDIAN);
    writer.u16(LIST_ELEMENT, HOST_IS_LITTLE_ENDIAN);
    writeElement(writer, element);
    writer.patchU16(start, writer.length - start);
    if (writer.length > ELEMENTS_BYTES_MAX) {
      const last = writer.bytes.slice(start);
      assert(start > 0, "An element has at most 60,000 bytes");
      yield writer.bytes.slice(0, start);
      writer.reset();
      writer.raw(last);
    }
  }
  if (writer.length > 0) yield writer.bytes.slice();
}

function elementsOf(kind: typeof NEWSETELEM, raw: RawMessage): ParsedElementList {
  const { family, attributes } = parseMessage(kind, raw);
  const list = attributes.elements ?? new Uint8Array(0);
  const elements: Element[] = [];
  for (const { start, end } of spans(list, 0, list.length)) {
    elements.push(readElement(list.subarray(start + ATTRIBUTE_HEADER, end)));
  }
  return {
    table: { family, name: attributes.table ?? "" },
    set: attributes.set ?? "",
    elements,
  };
}

function subject(table: TableReference, set: string): string {
  return `elements of set ${formatTable(table)} ${set}`;
}
