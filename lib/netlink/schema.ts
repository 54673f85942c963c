/**
 * Attribute sets as tables: name, number, type with byte order, nesting. Encoding, decoding, the
 * TypeScript type and the printable form all derive from the table.
 *
 * Byte order is in the codec's name and nowhere else: `u32` is host order, `be32` network order.
 * Attribute headers are always host order; padding is to 4 bytes (<linux/netlink.h>, NLA_ALIGN).
 * Unknown attributes are kept in `unknown` and written back.
 */

import { assert, AssertionError } from "../base/assert.ts";
import { HOST_IS_LITTLE_ENDIAN, viewOf, Writer } from "./buffer.ts";

/** How one kind of payload is written and read. */
export interface Codec<T> {
  /** Whether its attribute carries NLA_F_NESTED. */
  readonly nested: boolean;
  /** Number of bytes, where it is fixed. */
  readonly size: number | undefined;
  write(writer: Writer, value: T): void;
  /** @throws {RangeError} if `bytes` are too few */
  read(bytes: Uint8Array): T;
}

/** The TypeScript type that a codec carries. */
export type TypeOf<C> = C extends Codec<infer T> ? T : never;

/** An attribute that its table does not name. */
export interface UnknownAttribute {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Rows of an attribute table: field name → number, codec. */
// deno-lint-ignore no-explicit-any -- the rows' own types are inferred one by one
export type AttributeTable = Readonly<Record<string, readonly [number, Codec<any>]>>;

/** The value of an attribute set: every field may be absent, and absent means not sent. */
export type Attributes<S extends AttributeTable> =
  & { readonly [K in keyof S]?: TypeOf<S[K][1]> | undefined }
  & { readonly unknown?: readonly UnknownAttribute[] };

/** The type of the values of an attribute set's codec. */
export type AttributesOf<C> = TypeOf<C>;

/** NLA_F_NESTED and the mask of the type's number, <linux/netlink.h>. */
export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;

function integer(
  size: 1 | 2 | 4,
  write: (writer: Writer, value: number) => void,
  littleEndian: boolean,
  signed = false,
): Codec<number> {
  return {
    nested: false,
    size,
    write,
    read(bytes) {
      requireSize(bytes, size);
      const value = load(bytes, 0, size, littleEndian);
      return signed ? value | 0 : value;
    },
  };
}

/** An unsigned integer, without the price of a DataView per attribute. */
function load(bytes: Uint8Array, offset: number, size: number, littleEndian: boolean): number {
  let value = 0;
  for (let i = 0; i < size; i++) {
    value = value * 256 + (bytes[offset + (littleEndian ? size - 1 - i : i)] ?? 0);
  }
  return value;
}

function requireSize(bytes: Uint8Array, size: number): void {
  if (bytes.length < size) {
    throw new RangeError(`Netlink payload is too short: ${bytes.length} of ${size} bytes`);
  }
}

const HOST = HOST_IS_LITTLE_ENDIAN;

export const u8: Codec<number> = integer(1, (w, v) => w.u8(v), HOST);
/** Host order. */
export const u16: Codec<number> = integer(2, (w, v) => w.u16(v, HOST), HOST);
/** Host order. */
export const u32: Codec<number> = integer(4, (w, v) => w.u32(v, HOST), HOST);
/** Host order, signed. */
export const s32: Codec<number> = integer(4, (w, v) => w.u32(v, HOST), HOST, true);
/** Network order. */
export const be16: Codec<number> = integer(2, (w, v) => w.u16(v, false), false);
/** Network order. */
export const be32: Codec<number> = integer(4, (w, v) => w.u32(v, false), false);
/** Network order, signed: verdict codes and hook priorities. */
export const bes32: Codec<number> = integer(4, (w, v) => w.u32(v, false), false, true);

function integer64(littleEndian: boolean): Codec<bigint> {
  return {
    nested: false,
    size: 8,
    write: (writer, value) => writer.u64(value, littleEndian),
    read(bytes) {
      requireSize(bytes, 8);
      return viewOf(bytes).getBigUint64(0, littleEndian);
    },
  };
}

/** Host order. */
export const u64: Codec<bigint> = integer64(HOST);
/** Network order. */
export const be64: Codec<bigint> = integer64(false);

/** An attribute without payload whose presence is the value. */
export const flag: Codec<true> = {
  nested: false,
  size: 0,
  write: () => {},
  read: () => true,
};

/** Bytes as they are. */
export const bytes: Codec<Uint8Array> = {
  nested: false,
  size: undefined,
  write: (writer, value) => writer.raw(value),
  read: (payload) => payload.slice(),
};

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder("utf-8", { ignoreBOM: true }); // a leading U+FEFF stays
const encodedTexts = new Map<string, Uint8Array>();

/** UTF-8 text with its terminating NUL. Encodings are cached: names recur in every message. */
export const text: Codec<string> = {
  nested: false,
  size: undefined,
  write(writer, value) {
    let encoded = encodedTexts.get(value);
    if (encoded === undefined) {
      encoded = textEncoder.encode(value + "\0");
      if (encodedTexts.size >= 4096) encodedTexts.clear();
      encodedTexts.set(value, encoded);
    }
    writer.raw(encoded);
  },
  read(payload) {
    let value = "";
    for (const byte of payload) {
      if (byte === 0) return value;
      if (byte > 0x7f) break; // not ASCII: the slow way, from the start
      value += String.fromCharCode(byte);
    }
    if (value.length === payload.length) return value;
    const end = payload.indexOf(0);
    return textDecoder.decode(end < 0 ? payload : payload.subarray(0, end));
  },
};

/** An attribute set, nested or as the body of a message. */
export function attributes<const S extends AttributeTable>(
  name: string,
  table: S,
): Codec<Attributes<S>> & { readonly setName: string } {
  const rows = Object.entries(table);
  const byNumber = new Map(rows.map(([field, [number, codec]]) => [number, { field, codec }]));
  assert(byNumber.size === rows.length, `Attribute set ${name} numbers a field twice`);
  return {
    setName: name,
    nested: true,
    size: undefined,
    write(writer, value) {
      for (const key in value) {
        // The message is made only when it is needed: this runs for every nest of every message.
        if (!(key in table) && key !== "unknown") {
          throw new AssertionError(`Attribute set ${name} has no field ${key}`);
        }
      }
      for (const [field, [number, codec]] of rows) {
        const payload = value[field];
        if (payload !== undefined) writeAttribute(writer, number, codec, payload);
      }
      for (const { type, bytes: payload } of value.unknown ?? []) {
        writeAttribute(writer, type, bytes, payload);
      }
    },
    read(payload) {
      const value: Record<string, unknown> = {};
      const unknown: UnknownAttribute[] = [];
      eachAttribute(payload, (type, content) => {
        const row = byNumber.get(type);
        if (row === undefined) unknown.push({ type, bytes: content.slice() });
        else value[row.field] = row.codec.read(content);
      });
      if (unknown.length > 0) value.unknown = unknown;
      return value as Attributes<S>;
    },
  };
}

/** A nest that repeats one attribute; the kernel's lists number their elements 1 (NFTA_LIST_ELEM). */
export function list<T>(element: Codec<T>, number = 1): Codec<readonly T[]> {
  return {
    nested: true,
    size: undefined,
    write(writer, values) {
      for (const value of values) writeAttribute(writer, number, element, value);
    },
    read(payload) {
      const values: T[] = [];
      eachAttribute(payload, (_type, content) => values.push(element.read(content)));
      return values;
    },
  };
}

/** The value of a {@link choose} codec: which variant, and its attributes. */
export type Choice<V extends Readonly<Record<string, Codec<unknown>>>> =
  | { readonly [K in keyof V & string]: { readonly name: K; readonly data: TypeOf<V[K]> } }[
    & keyof V
    & string
  ]
  | { readonly name: string; readonly unknownData: Uint8Array };

/**
 * An attribute set of a name and data whose meaning the name chooses: nf_tables expressions, link
 * kinds. A name without variant keeps its data as bytes.
 */
// deno-lint-ignore no-explicit-any -- the variants' own types are inferred one by one
export function choose<const V extends Readonly<Record<string, Codec<any>>>>(
  name: string,
  numbers: { readonly name: number; readonly data: number },
  variants: V,
): Codec<Choice<V>> {
  return {
    nested: true,
    size: undefined,
    write(writer, value) {
      writeAttribute(writer, numbers.name, text, value.name);
      if ("unknownData" in value) {
        writeAttribute(writer, numbers.data, bytes, value.unknownData);
        return;
      }
      const codec = variants[value.name];
      if (codec === undefined) throw new AssertionError(`${name} has no variant ${value.name}`);
      writeAttribute(writer, numbers.data, codec, value.data);
    },
    read(payload) {
      let chosen = "";
      let data: Uint8Array = new Uint8Array(0);
      eachAttribute(payload, (type, content) => {
        if (type === numbers.name) chosen = text.read(content);
        if (type === numbers.data) data = content;
      });
      const codec = Object.hasOwn(variants, chosen) ? variants[chosen] : undefined;
      return codec === undefined
        ? { name: chosen, unknownData: data.slice() }
        : { name: chosen, data: codec.read(data) } as Choice<V>;
    },
  };
}

/** Fields of a fixed header in their order; each codec has a size. */
export type StructTable = Readonly<Record<string, Codec<number>>>;

/** The value of a fixed header; absent fields are 0. */
export type StructValue<S extends StructTable> = { readonly [K in keyof S]?: number };

/** A codec of a fixed header: no nesting, a known size, every field present after reading. */
export interface StructCodec<S extends StructTable> {
  readonly structName: string;
  readonly size: number;
  write(writer: Writer, value: StructValue<S>): void;
  read(bytes: Uint8Array): { readonly [K in keyof S]: number };
}

/** A fixed header; `size` is asserted, so that a forgotten pad does not compile into a wrong layout. */
export function struct<const S extends StructTable>(
  name: string,
  size: number,
  table: S,
): StructCodec<S> {
  const rows = Object.entries(table);
  const sum = rows.reduce((total, [, codec]) => total + (codec.size ?? 0), 0);
  assert(sum === size, `struct ${name} has ${sum} bytes instead of ${size}`);
  return {
    structName: name,
    size,
    write(writer, value) {
      for (const [field, codec] of rows) codec.write(writer, value[field] ?? 0);
    },
    read(payload) {
      requireSize(payload, size);
      const value: Record<string, number> = {};
      let offset = 0;
      for (const [field, codec] of rows) {
        const end = offset + (codec.size ?? 0);
        value[field] = codec.read(payload.subarray(offset, end));
        offset = end;
      }
      return value as { readonly [K in keyof S]: number };
    },
  };
}

/** A nest that begins with a fixed header: VETH_INFO_PEER. */
export function structThen<S extends StructTable, T>(
  header: StructCodec<S>,
  rest: Codec<T>,
): Codec<{ readonly header: StructValue<S>; readonly attributes: T }> {
  return {
    nested: true,
    size: undefined,
    write(writer, value) {
      header.write(writer, value.header);
      rest.write(writer, value.attributes);
    },
    read: (payload) => ({
      header: header.read(payload) as StructValue<S>,
      attributes: rest.read(payload.subarray(header.size)),
    }),
  };
}

function writeAttribute<T>(writer: Writer, number: number, codec: Codec<T>, value: T): void {
  const start = writer.length;
  writer.u16(0, HOST);
  writer.u16(codec.nested ? number | NLA_F_NESTED : number, HOST);
  codec.write(writer, value);
  writer.patchU16(start, writer.length - start);
  writer.align();
}

/** Visits the attributes in `payload` in their order; a truncated tail ends the walk. */
function eachAttribute(
  payload: Uint8Array,
  visit: (type: number, content: Uint8Array) => void,
): void {
  for (let offset = 0; offset + 4 <= payload.length;) {
    const length = load(payload, offset, 2, HOST);
    if (length < 4 || offset + length > payload.length) return;
    const type = load(payload, offset + 2, 2, HOST) & NLA_TYPE_MASK;
    visit(type, payload.subarray(offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
}
