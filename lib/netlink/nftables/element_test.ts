import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Writer } from "../buffer.ts";
import { NFT_JUMP } from "./data.ts";
import {
  type Element,
  elementAttributes,
  NFT_SET_ELEM_CATCHALL,
  readElement,
  userDataOf,
  writeElement,
} from "./element.ts";

function encode(element: Element): Uint8Array {
  const writer = new Writer(16);
  writeElement(writer, element);
  return writer.bytes;
}

/** The same by the attribute table. */
function encodeByTable(element: Element): Uint8Array {
  const writer = new Writer();
  const { key, keyEnd, flags, timeoutMs, expirationMs } = element;
  elementAttributes.write(writer, {
    flags,
    timeoutMs: timeoutMs === undefined ? undefined : BigInt(timeoutMs),
    expirationMs: expirationMs === undefined ? undefined : BigInt(expirationMs),
    key: key.length === 0 ? undefined : { value: key },
    keyEnd: keyEnd && { value: keyEnd },
    data: element.data,
    userData: userDataOf(element),
  });
  return writer.bytes;
}

const key = new Uint8Array([10, 0, 0, 1]);
const ELEMENTS: Readonly<Record<string, Element>> = {
  "an address": { key },
  "a key that needs padding": { key: new Uint8Array([0, 80]) },
  "a range": { key, keyEnd: new Uint8Array([10, 0, 0, 9]) },
  "the end of a range": { key, flags: 1 },
  "a range without end": { key, isOpen: true },
  "a verdict": { key, data: { verdict: { code: NFT_JUMP, chain: "chain" } } },
  "a verdict without chain": { key, data: { verdict: { code: 1 } } },
  "a value": { key, data: { value: new Uint8Array([1, 2, 3]) } },
  "what goes by itself": { key, timeoutMs: 60_000, expirationMs: 59_999 },
  "a comment": { key, comment: "why" },
  "a comment on a range without end": { key, comment: "why", isOpen: true },
  "a catch-all": {
    key: new Uint8Array(0),
    flags: NFT_SET_ELEM_CATCHALL,
    data: { verdict: { code: 0 } },
  },
};

for (const [name, element] of Object.entries(ELEMENTS)) {
  Deno.test(`writeElement() writes ${name} as its table does`, () => {
    assertEquals(encode(element).toHex(), encodeByTable(element).toHex());
  });

  Deno.test(`readElement() reads ${name} back`, () => {
    assertEquals(readElement(encode(element)), element);
  });
}

Deno.test("readElement() never reads past its end", () => {
  const whole = Object.values(ELEMENTS).map(encode);
  fc.assert(
    fc.property(fc.constantFrom(...whole), fc.nat(), fc.nat(), (bytes, cut, flip) => {
      const damaged = bytes.slice(0, cut % (bytes.length + 1));
      if (damaged.length > 0) damaged[flip % damaged.length] = flip & 0xff;
      try {
        readElement(damaged);
      } catch (error) {
        // Too short an integer: the reader of the message hears of it.
        if (!(error instanceof RangeError)) throw error;
      }
    }),
  );
});
