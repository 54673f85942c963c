/**
 * One element of a set or map. Sets are long (100,000 addresses), so elements are written and read by
 * hand; the attribute tables say the same for the eye and for the tests, which compare both.
 * `enum nft_set_elem_attributes`, `enum nft_set_elem_flags`: <linux/netfilter/nf_tables.h>.
 */

import { HOST_IS_LITTLE_ENDIAN, viewOf, type Writer } from "../buffer.ts";
import { attributes, be32, be64, NLA_F_NESTED, NLA_TYPE_MASK, text } from "../schema.ts";
import { type Data, data, parseData } from "./data.ts";
import {
  integerField,
  integerOf,
  textField,
  textOf,
  UDATA_COMMENT,
  UDATA_ELEMENT_FLAGS,
  userData,
  type UserDataField,
} from "./user_data.ts";

/** The key is the first that is no longer in the range which the element before it began. */
export const NFT_SET_ELEM_INTERVAL_END = 1;
/** Matches what no other element matches; it has no key. */
export const NFT_SET_ELEM_CATCHALL = 2;

/** `enum nft_set_elem_attributes`. */
export const elementAttributes = attributes("element", {
  flags: [3, be32], // NFTA_SET_ELEM_FLAGS
  timeoutMs: [4, be64], // NFTA_SET_ELEM_TIMEOUT
  expirationMs: [5, be64], // NFTA_SET_ELEM_EXPIRATION
  key: [1, data], // NFTA_SET_ELEM_KEY
  keyEnd: [10, data], // NFTA_SET_ELEM_KEY_END: inclusive, of interval concatenations
  data: [2, data], // NFTA_SET_ELEM_DATA
  userData: [6, userData], // NFTA_SET_ELEM_USERDATA
});

/** One element. */
export interface Element {
  /** In the order of the packet's bytes; every field of a concatenation padded to 4 bytes. */
  readonly key: Uint8Array;
  /** Last key of a range in an interval concatenation; the same as `key` for a single one. */
  readonly keyEnd?: Uint8Array;
  /** Of a map. */
  readonly data?: Data;
  /** NFT_SET_ELEM_*. */
  readonly flags?: number;
  readonly timeoutMs?: number;
  /** Time left, in dumps. */
  readonly expirationMs?: number;
  readonly comment?: string;
  /** Of a range without an end, so that nft lists it as one. */
  readonly isOpen?: boolean;
}

const HOST = HOST_IS_LITTLE_ENDIAN;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2 | NLA_F_NESTED;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
const NFTA_SET_ELEM_KEY = 1 | NLA_F_NESTED;
const NFTA_SET_ELEM_DATA = 2 | NLA_F_NESTED;
const NFTA_SET_ELEM_FLAGS = 3;
const NFTA_SET_ELEM_TIMEOUT = 4;
const NFTA_SET_ELEM_EXPIRATION = 5;
const NFTA_SET_ELEM_USERDATA = 6;
const NFTA_SET_ELEM_KEY_END = 10 | NLA_F_NESTED;
const HEADER = 4;

/** Writes the attributes of `element`, without the header of the nest that they are in. */
export function writeElement(writer: Writer, element: Element): void {
  if (element.flags !== undefined && element.flags !== 0) {
    writeHeader(writer, NFTA_SET_ELEM_FLAGS, 4);
    writer.u32(element.flags, false);
  }
  if (element.timeoutMs !== undefined) {
    writeHeader(writer, NFTA_SET_ELEM_TIMEOUT, 8);
    writer.u64(BigInt(element.timeoutMs), false);
  }
  if (element.expirationMs !== undefined) {
    writeHeader(writer, NFTA_SET_ELEM_EXPIRATION, 8);
    writer.u64(BigInt(element.expirationMs), false);
  }
  if (element.key.length > 0) writeValue(writer, NFTA_SET_ELEM_KEY, element.key);
  if (element.keyEnd !== undefined) writeValue(writer, NFTA_SET_ELEM_KEY_END, element.keyEnd);
  if (element.data !== undefined) writeData(writer, element.data);
  const fields = userDataOf(element);
  if (fields !== undefined) {
    const start = writer.length;
    writeHeader(writer, NFTA_SET_ELEM_USERDATA, 0);
    userData.write(writer, fields);
    closeAttribute(writer, start);
  }
}

/** The user data of `element`; `undefined` when it has none. */
export function userDataOf(element: Element): readonly UserDataField[] | undefined {
  if (element.comment === undefined && element.isOpen !== true) return undefined;
  const fields: UserDataField[] = [];
  if (element.comment !== undefined) fields.push(textField(UDATA_COMMENT, element.comment));
  if (element.isOpen === true) fields.push(integerField(UDATA_ELEMENT_FLAGS, 1));
  return fields;
}

function writeHeader(writer: Writer, type: number, payloadLength: number): void {
  writer.u16(HEADER + payloadLength, HOST);
  writer.u16(type, HOST);
}

function closeAttribute(writer: Writer, start: number): void {
  writer.patchU16(start, writer.length - start);
  writer.align();
}

function writeValue(writer: Writer, type: number, value: Uint8Array): void {
  const padded = (value.length + 3) & ~3;
  writeHeader(writer, type, HEADER + padded);
  writeHeader(writer, NFTA_DATA_VALUE, value.length);
  writer.raw(value);
  writer.align();
}

function writeData(writer: Writer, { value, verdict }: Data): void {
  if (value !== undefined) return writeValue(writer, NFTA_SET_ELEM_DATA, value);
  const start = writer.length;
  writeHeader(writer, NFTA_SET_ELEM_DATA, 0);
  writeHeader(writer, NFTA_DATA_VERDICT, 0);
  writeHeader(writer, NFTA_VERDICT_CODE, 4);
  writer.u32(verdict.code, false);
  if (verdict.chain !== undefined) {
    const chainStart = writer.length;
    writeHeader(writer, NFTA_VERDICT_CHAIN, 0);
    text.write(writer, verdict.chain);
    closeAttribute(writer, chainStart);
  }
  writer.patchU16(start + HEADER, writer.length - start - HEADER);
  writer.patchU16(start, writer.length - start);
}

/** Reads the attributes of one element; keys are views of `payload`. */
export function readElement(payload: Uint8Array): Element {
  const view = viewOf(payload);
  const element: { -readonly [K in keyof Element]: Element[K] } = { key: payload.subarray(0, 0) };
  for (let offset = 0; offset + HEADER <= payload.length;) {
    const length = view.getUint16(offset, HOST);
    if (length < HEADER || offset + length > payload.length) break;
    const content = payload.subarray(offset + HEADER, offset + length);
    switch (view.getUint16(offset + 2, HOST) & NLA_TYPE_MASK) {
      case NFTA_SET_ELEM_KEY & NLA_TYPE_MASK:
        element.key = readValue(view, payload, offset + HEADER);
        break;
      case NFTA_SET_ELEM_KEY_END & NLA_TYPE_MASK:
        element.keyEnd = readValue(view, payload, offset + HEADER);
        break;
      case NFTA_SET_ELEM_DATA & NLA_TYPE_MASK: {
        const parsed = parseData(data.read(content));
        if (parsed !== undefined) element.data = parsed;
        break;
      }
      case NFTA_SET_ELEM_FLAGS:
        element.flags = be32.read(content);
        break;
      case NFTA_SET_ELEM_TIMEOUT:
        element.timeoutMs = Number(be64.read(content));
        break;
      case NFTA_SET_ELEM_EXPIRATION:
        element.expirationMs = Number(be64.read(content));
        break;
      case NFTA_SET_ELEM_USERDATA:
        readUserData(element, content);
        break;
    }
    offset += (length + 3) & ~3;
  }
  return element;
}

/** The value in the nest whose content begins at `offset`: its first attribute. */
function readValue(view: DataView, payload: Uint8Array, offset: number): Uint8Array {
  const length = view.getUint16(offset, HOST);
  return payload.subarray(offset + HEADER, offset + Math.max(length, HEADER));
}

function readUserData(
  element: { comment?: string; isOpen?: boolean },
  content: Uint8Array,
): void {
  const fields = userData.read(content);
  const comment = textOf(fields, UDATA_COMMENT);
  if (comment !== undefined) element.comment = comment;
  if (integerOf(fields, UDATA_ELEMENT_FLAGS) === 1) element.isOpen = true;
}
