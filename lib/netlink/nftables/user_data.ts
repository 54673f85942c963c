/**
 * User data: up to 256 bytes that the kernel keeps with an object and does not read. nft(8) writes
 * triples of type, length and value (one byte, one byte, bytes) there and shows the comment among
 * them. We add one of our own, the tag, which nft skips: it ties an object to what it was made from.
 *
 * The types of nft's triples are those of libnftnl, <libnftnl/udata.h>.
 */

import { assert } from "../../base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN, viewOf, type Writer } from "../buffer.ts";
import { type Codec, text as textCodec } from "../schema.ts";

/** NFTNL_UDATA_{TABLE,CHAIN,RULE,SET_ELEM}_COMMENT. */
export const UDATA_COMMENT = 0;
/** NFTNL_UDATA_SET_ELEM_FLAGS. */
export const UDATA_ELEMENT_FLAGS = 1;
/** NFTNL_UDATA_SET_KEYBYTEORDER. */
export const UDATA_SET_KEY_BYTE_ORDER = 0;
/** NFTNL_UDATA_SET_COMMENT. */
export const UDATA_SET_COMMENT = 7;
/** Ours, on every kind of object. */
export const UDATA_TAG = 0x7f;

/** NFT_USERDATA_MAXLEN, <linux/netfilter/nf_tables.h>. */
export const NFT_USERDATA_MAXLEN = 256;

/** One triple. */
export interface UserDataField {
  readonly type: number;
  readonly value: Uint8Array;
}

const textEncoder = new TextEncoder();

/** The triples of a piece of user data; a truncated tail is dropped. */
export const userData: Codec<readonly UserDataField[]> = {
  nested: false,
  size: undefined,
  write(writer, fields) {
    const start = writer.length;
    for (const { type, value } of fields) writeField(writer, type, value);
    assert(writer.length - start <= NFT_USERDATA_MAXLEN, "User data hold at most 256 bytes");
  },
  read(payload) {
    const fields: UserDataField[] = [];
    for (let offset = 0; offset + 2 <= payload.length;) {
      const end = offset + 2 + (payload[offset + 1] ?? 0);
      if (end > payload.length) break;
      fields.push({ type: payload[offset] ?? 0, value: payload.slice(offset + 2, end) });
      offset = end;
    }
    return fields;
  },
};

/** Writes one triple. */
export function writeField(writer: Writer, type: number, value: Uint8Array): void {
  assert(value.length <= 255, "A field of user data holds at most 255 bytes");
  writer.u8(type);
  writer.u8(value.length);
  writer.raw(value);
}

/** A field of text, NUL terminated as nft wants its comments. */
export function textField(type: number, text: string): UserDataField {
  return { type, value: textEncoder.encode(text + "\0") };
}

/** The text of the first field of `type`. */
export function textOf(
  fields: readonly UserDataField[] | undefined,
  type: number,
): string | undefined {
  const value = fields?.find((it) => it.type === type)?.value;
  return value && textCodec.read(value);
}

/** A field of one integer: host order, as nft writes it. */
export function integerField(type: number, integer: number): UserDataField {
  const value = new Uint8Array(4);
  viewOf(value).setUint32(0, integer, HOST_IS_LITTLE_ENDIAN);
  return { type, value };
}

/** The integer of the first field of `type`. */
export function integerOf(
  fields: readonly UserDataField[] | undefined,
  type: number,
): number | undefined {
  const value = fields?.find((it) => it.type === type)?.value;
  return value?.length === 4 ? viewOf(value).getUint32(0, HOST_IS_LITTLE_ENDIAN) : undefined;
}

/** What a table, chain or rule may carry. */
export interface Annotation {
  /** What nft shows; at most 254 bytes (nft itself takes 128). */
  readonly comment?: string | undefined;
  /** What we know it by again; nft does not show it. Comment and tag share 256 bytes. */
  readonly tag?: string | undefined;
}

/** The user data of `annotation`; `undefined` when it says nothing. */
export function annotationFields(
  { comment, tag }: Annotation,
  commentType = UDATA_COMMENT,
): readonly UserDataField[] | undefined {
  if (comment === undefined && tag === undefined) return undefined;
  const fields: UserDataField[] = [];
  if (comment !== undefined) fields.push(textField(commentType, comment));
  if (tag !== undefined) fields.push(textField(UDATA_TAG, tag));
  return fields;
}

/** The reverse of {@link annotationFields}. */
export function annotationOf(
  fields: readonly UserDataField[] | undefined,
  commentType = UDATA_COMMENT,
): { readonly comment: string | undefined; readonly tag: string | undefined } {
  return { comment: textOf(fields, commentType), tag: textOf(fields, UDATA_TAG) };
}
