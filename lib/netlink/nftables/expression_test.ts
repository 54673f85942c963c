import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Writer } from "../buffer.ts";
import type { Data } from "./data.ts";
import {
  bitwise,
  cmp,
  counter,
  ct,
  type Expression,
  expression,
  fib,
  immediate,
  limit,
  log,
  lookup,
  meta,
  payload,
  range,
  reject,
} from "./expression.ts";

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);
const u64 = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn });
const register = fc.nat(23);
const value = fc.uint8Array({ minLength: 1, maxLength: 64 });
/** What a netlink string holds: no NUL. */
const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 })
  .filter((it) => !it.includes("\0"));
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const verdict = fc.oneof(
  fc.record({ code: fc.constantFrom(0, 1, -1, -2, -5) }),
  fc.record({ code: fc.constantFrom(-3, -4), chain: text }),
);

/** Fields that are `undefined` are absent. */
function compact<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, it]) => it !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]: Exclude<T[K], undefined> };
}

const EXPRESSIONS: Readonly<Record<string, fc.Arbitrary<Expression>>> = {
  meta: fc.record({
    key: u32,
    destinationRegister: maybe(register),
    sourceRegister: maybe(register),
  }).map((it) => meta(compact(it))),
  payload: fc.record({ base: u32, offset: u32, length: u32, destinationRegister: register })
    .map(payload),
  cmp: fc.record({ sourceRegister: register, operator: u32, value }).map(cmp),
  range: fc.record({ sourceRegister: register, operator: u32, from: value, to: value })
    .map(range),
  bitwise: fc.record({
    sourceRegister: register,
    destinationRegister: register,
    mask: value,
    xor: maybe(value),
  }).map((it) => bitwise(compact(it))),
  lookup: fc.record({
    set: text,
    setId: maybe(u32),
    sourceRegister: register,
    destinationRegister: maybe(register),
    inverted: fc.boolean(),
  }).map((it) => lookup(compact(it))),
  immediate: fc.oneof(
    fc.record({ verdict }),
    fc.record({ destinationRegister: register, value }),
  ).map(immediate),
  counter: maybe(fc.record({ packets: u64, bytes: u64 })).map(counter),
  ct: fc.record({
    key: u32,
    direction: maybe(u8),
    destinationRegister: maybe(register),
    sourceRegister: maybe(register),
  }).map((it) => ct(compact(it))),
  limit: fc.record({
    rate: u64,
    unitSeconds: u32,
    burst: maybe(u32),
    type: u32,
    over: fc.boolean(),
  }).map((it) => limit(compact(it))),
  log: fc.record({
    group: maybe(u16),
    prefix: maybe(text),
    snapLength: maybe(u32),
    queueThreshold: maybe(u16),
    level: maybe(u32),
    flags: maybe(u32),
  }).map((it) => log(compact(it))),
  reject: fc.record({ type: u32, code: u8 }).map(reject),
  fib: fc.record({ result: u32, flags: u32, destinationRegister: register }).map(fib),
  unknown: fc.record({ name: text, unknownData: value })
    .filter((it) => !Object.hasOwn(EXPRESSIONS, it.name)),
};

/** The same without the fields that are `undefined`: they are not sent. */
function sent(it: Expression): unknown {
  if ("unknownData" in it) return it;
  const strip = (fields: object): object =>
    Object.fromEntries(
      Object.entries(fields).filter(([, field]) => field !== undefined).map(([key, field]) => [
        key,
        isData(field) ? strip(field) : field,
      ]),
    );
  return { name: it.name, data: strip(it.data) };
}

function isData(field: unknown): field is Data {
  return typeof field === "object" && field !== null && !(field instanceof Uint8Array);
}

for (const [name, arbitrary] of Object.entries(EXPRESSIONS)) {
  Deno.test(`expression reads any ${name} back as it was written`, () => {
    fc.assert(
      fc.property(arbitrary, (it) => {
        const writer = new Writer(16);
        expression.write(writer, it);
        assertEquals(expression.read(writer.bytes), sent(it) as Expression);
      }),
    );
  });
}
