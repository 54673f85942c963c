import { assertEquals } from "@std/assert";
import { assert } from "../../base/assert.ts";
import { Writer } from "../buffer.ts";
import { decodeMessages, encodeRequest, type RawMessage, type Request } from "../message.ts";
import type { Element } from "./element.ts";
import { deleteElements, newElements, parseElements, refusedElement } from "./element_list.ts";
import { NFPROTO_INET } from "./message.ts";

const table = { family: NFPROTO_INET, name: "t" };

const addresses = (count: number): Element[] =>
  Array.from({ length: count }, (_, i) => ({ key: new Uint8Array([10, i >> 16, i >> 8, i]) }));

function encode(request: Request): RawMessage {
  const writer = new Writer();
  encodeRequest(writer, request, 1);
  const [message] = decodeMessages(writer.bytes);
  assert(message !== undefined);
  return message;
}

Deno.test("newElements() makes no request of no element", () => {
  assertEquals(newElements({ table, set: "s", elements: [] }), []);
});

Deno.test("newElements() divides a long list and loses nothing", () => {
  // An address is 16 bytes: 3,750 of them are 60,000 bytes.
  const cases = [
    { count: 1, expected: [1] },
    { count: 3_750, expected: [3_750] },
    { count: 3_751, expected: [3_750, 1] },
    { count: 10_000, expected: [3_750, 3_750, 2_500] },
  ];
  for (const { count, expected } of cases) {
    const elements = addresses(count);
    const parsed = newElements({ table, set: "s", elements }).map((it) =>
      parseElements(encode(it))
    );
    assertEquals(parsed.map((it) => it.elements.length), expected);
    assertEquals(parsed.flatMap((it) => it.elements), elements);
    for (const it of parsed) assertEquals([it.table, it.set], [table, "s"]);
  }
});

Deno.test("newElements() takes a generator once", () => {
  function* generate(): Generator<Element> {
    yield* addresses(4_000);
  }
  const requests = newElements({ table, set: "s", elements: generate() });
  assertEquals(requests.length, 2);
  // Requests are values: encoding one again gives the same bytes.
  for (const request of requests) assertEquals(encode(request), encode(request));
});

Deno.test("refusedElement() finds the element that the kernel's offset points into", () => {
  const [request] = deleteElements({ table, set: "s", elements: addresses(3) });
  assert(request !== undefined);
  // Headers 16 + 4, table 8, set 8, header of the list 4: the first element begins at 40.
  const expected = new Map([[39, undefined], [40, 0], [55, 0], [56, 1], [72, 2], [88, undefined]]);
  for (const [offset, last] of expected) {
    const element = last === undefined ? undefined : { key: new Uint8Array([10, 0, 0, last]) };
    assertEquals(refusedElement(request, offset), element, `offset ${offset}`);
  }
});
