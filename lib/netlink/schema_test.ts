/** Properties of attribute sets, over one set that has a field of every codec. */

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { AssertionError } from "../base/assert.ts";
import { Writer } from "./buffer.ts";
import {
  attributes,
  be16,
  be32,
  be64,
  bes32,
  bytes,
  choose,
  type Codec,
  flag,
  list,
  s32,
  struct,
  structThen,
  text,
  type TypeOf,
  u16,
  u32,
  u64,
  u8,
} from "./schema.ts";

const inner = attributes("inner", { name: [1, text], value: [2, be32] });
const header = struct("header", 4, { kind: u8, pad: u8, size: be16 });
const variant = choose("variant", { name: 1, data: 2 }, {
  inner,
  other: attributes("other", { on: [1, flag] }),
});

const sample = attributes("sample", {
  byte: [1, u8],
  short: [2, u16],
  word: [3, u32],
  signed: [4, s32],
  networkShort: [5, be16],
  networkWord: [6, be32],
  networkSigned: [7, bes32],
  long: [8, u64],
  networkLong: [9, be64],
  on: [10, flag],
  raw: [11, bytes],
  name: [12, text],
  inner: [13, inner],
  list: [14, list(inner)],
  words: [15, list(u32, 7)],
  variant: [16, variant],
  peer: [17, structThen(header, inner)],
});
type Sample = TypeOf<typeof sample>;

/** Numbers above every number that a table here has. */
const unknown = fc.array(
  fc.record({
    type: fc.integer({ min: 100, max: 0x3fff }),
    bytes: fc.uint8Array({ maxLength: 9 }),
  }),
  { minLength: 1, maxLength: 3 },
);
/** Without NUL, which ends a text, and without halves of surrogate pairs, which UTF-8 has not. */
const name = fc.string({ unit: "binary", maxLength: 20 }).map((it) => it.replaceAll("\0", ""));
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const uint16 = fc.integer({ min: 0, max: 0xffff });
const uint8 = fc.integer({ min: 0, max: 0xff });
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const innerValue = fc.record({ name, value: uint32, unknown }, { requiredKeys: [] });

const sampleValue: fc.Arbitrary<Sample> = fc.record({
  byte: uint8,
  short: uint16,
  word: uint32,
  signed: int32,
  networkShort: uint16,
  networkWord: uint32,
  networkSigned: int32,
  long: uint64,
  networkLong: uint64,
  on: fc.constant(true as const),
  raw: fc.uint8Array({ maxLength: 30 }),
  name,
  inner: innerValue,
  list: fc.array(innerValue, { maxLength: 4 }),
  words: fc.array(uint32, { maxLength: 5 }),
  variant: fc.oneof(
    innerValue.map((data) => ({ name: "inner" as const, data })),
    fc.constant({ name: "other" as const, data: { on: true as const } }),
    fc.uint8Array({ maxLength: 9 }).map((unknownData) => ({ name: "stranger", unknownData })),
  ),
  peer: fc.record({
    header: fc.record({ kind: uint8, pad: uint8, size: uint16 }),
    attributes: innerValue,
  }),
  unknown,
}, { requiredKeys: [] });

function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const writer = new Writer(16);
  codec.write(writer, value);
  return writer.bytes.slice();
}

Deno.test("attributes() reads back whatever it wrote, unknown attributes too", () => {
  fc.assert(fc.property(sampleValue, (value) => {
    assertEquals(sample.read(encode(sample, value)), value);
  }));
});

Deno.test("attributes() writes back whatever it read", () => {
  fc.assert(fc.property(sampleValue, (value) => {
    const encoded = encode(sample, value);
    assertEquals(encode(sample, sample.read(encoded)).toHex(), encoded.toHex());
  }));
});

Deno.test("text keeps a byte order mark", () => {
  assertEquals(text.read(encode(text, "\ufeffa")), "\ufeffa");
});

Deno.test("attributes() keeps padding to four bytes", () => {
  fc.assert(fc.property(sampleValue, (value) => {
    assertEquals(encode(sample, value).length % 4, 0);
  }));
});

Deno.test("attributes() takes truncated bytes for a RangeError or for less", () => {
  fc.assert(fc.property(sampleValue, fc.nat(400), (value, cut) => {
    const encoded = encode(sample, value);
    assertOnlyRangeError(encoded.subarray(0, Math.max(0, encoded.length - cut)));
  }));
});

Deno.test("attributes() takes arbitrary bytes for a RangeError or for something", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), assertOnlyRangeError));
});

Deno.test("attributes() takes damaged bytes for a RangeError or for something", () => {
  fc.assert(fc.property(sampleValue, fc.nat(), uint8, (value, at, byte) => {
    const encoded = encode(sample, value);
    if (encoded.length > 0) encoded[at % encoded.length] = byte;
    assertOnlyRangeError(encoded);
  }));
});

function assertOnlyRangeError(payload: Uint8Array): void {
  try {
    sample.read(payload);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}

Deno.test("attributes() writes what <linux/netlink.h> says", () => {
  const cases: Readonly<Record<string, readonly [Sample, string]>> = {
    "host order": [{ short: 0x1234 }, "06000200" + "34120000"],
    "network order": [{ networkShort: 0x1234 }, "06000500" + "12340000"],
    "signed": [{ networkSigned: -2 }, "08000700" + "fffffffe"],
    "64 bits": [{ networkLong: 1n }, "0c000900" + "0000000000000001"],
    "flag": [{ on: true }, "04000a00"],
    "text": [{ name: "ab" }, "07000c00" + "61620000"],
    "nest": [{ inner: { value: 1 } }, "0c000d80" + "08000200" + "00000001"],
    "list": [{ words: [5] }, "0c000f80" + "08000700" + "05000000"],
    "choice": [
      { variant: { name: "other", data: { on: true } } },
      "18001080" + "0a000100" + "6f7468657200" + "0000" + "08000280" + "04000100",
    ],
    "header in a nest": [
      { peer: { header: { size: 2 }, attributes: { value: 1 } } },
      "10001180" + "00000002" + "08000200" + "00000001",
    ],
    "absent field": [{ byte: undefined }, ""],
  };
  for (const [name, [value, hex]] of Object.entries(cases)) {
    assertEquals(encode(sample, value).toHex(), hex, name);
  }
});

Deno.test("attributes() asserts that a field is in its table", () => {
  const value = { nmae: "typo" } as Sample;
  assertThrows(() => encode(sample, value), AssertionError, "sample has no field nmae");
});

Deno.test("attributes() asserts that no number stands twice", () => {
  const make = (): unknown => attributes("twice", { a: [1, u8], b: [1, u8] });
  assertThrows(make, AssertionError, "twice numbers a field twice");
});

Deno.test("attributes() asserts that a payload fits its length field", () => {
  encode(sample, { raw: new Uint8Array(0xffff - 4) });
  const write = (): unknown => encode(sample, { raw: new Uint8Array(0xffff - 3) });
  assertThrows(write, AssertionError, "65535");
});

Deno.test("struct() asserts its size", () => {
  const make = (): unknown => struct("short", 8, { a: u8, b: be16 });
  assertThrows(make, AssertionError, "struct short has 3 bytes instead of 8");
});

Deno.test("struct() writes absent fields as zero", () => {
  const writer = new Writer();
  header.write(writer, { size: 258 });
  assertEquals(writer.bytes.toHex(), "00000102");
});

Deno.test("choose() asserts that it has the variant", () => {
  const value = { name: "stranger", data: {} } as TypeOf<typeof variant>;
  assertThrows(() => encode(variant, value), AssertionError, "variant has no variant stranger");
});
