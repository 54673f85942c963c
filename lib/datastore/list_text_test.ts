import { assertEquals, assertThrows } from "@std/assert";
import { ListText } from "./list_text.ts";

/** The list of which `text` comes in pieces of `size` characters. */
function read(text: string, size: number): unknown {
  const items: unknown[] = [];
  const list = new ListText((item) => items.push(item));
  for (let at = 0; at < text.length; at += size) list.push(text.slice(at, at + size));
  const around = list.end() as Record<string, unknown>;
  return { ...around, ...(Array.isArray(around.items) ? { items } : {}) };
}

const LISTS: readonly string[] = [
  '{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[{"a":1},{"b":[1,{"c":"]"}]}]}',
  '{"items":[],"kind":"PodList"}',
  '{ "items" : [ ] , "metadata" : { "continue" : "x" } }',
  '{"items":[\n{"a":"\\"],}"}\n,\n{"b":"\\\\"}, null, 1, "x,y" ],"kind":"L"}',
  '{"metadata":{"items":[1,2],"a":["items",[3]]},"items":[[4,5],[]],"other":[6,[7]]}',
  '{"note":"\\"items\\":[","items":[{"items":[{"items":[1]}]}]}',
  '{"items":null,"kind":"L"}',
  '{"items":{"length":0},"x":[1,2]}',
  '{"x":["items",["a"]],"y":"items"}',
  '{"items":[{"ü":"😀"}]}',
];

Deno.test("a list in pieces is the list as a whole", () => {
  for (const text of LISTS) {
    for (const size of [1, 2, 3, 7, text.length]) {
      assertEquals(read(text, size), JSON.parse(text), `${text} in pieces of ${size}`);
    }
  }
});

const NO_LISTS: readonly string[] = [
  '{"items":[1,]}',
  '{"items":[,1]}',
  '{"items":[{"a":1} {"b":2}]}',
  '{"items":[{"a":}]}',
  '{"items":[{"a":1}',
  '{"items":[{"a":1}]',
  '{"items":[{"a":1}}',
  '{"items":[1]}}',
  '{"items":[1]} x',
  "",
  "<html>",
];

Deno.test("what is no JSON is no list, in whatever pieces", () => {
  for (const text of NO_LISTS) {
    for (const size of [1, 3, text.length + 1]) {
      assertThrows(() => read(text, size), SyntaxError, undefined, `${text} in pieces of ${size}`);
    }
  }
});

Deno.test("an item without end is not held for ever", () => {
  const list = new ListText(() => {});
  list.push('{"items":["');
  assertThrows(() => {
    for (let i = 0; i < 10_000; i++) list.push("x".repeat(1_000));
  }, RangeError);
});
