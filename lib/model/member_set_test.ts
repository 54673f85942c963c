import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Address } from "../ip/address.ts";
import { AddressPort } from "./address_port.ts";
import { type Member, MemberSet } from "./member_set.ts";

/** Equal, and another value each time. */
function member(number: number): Member {
  return Address.parse(`10.0.${number >> 8}.${number & 255}`);
}

function texts(members: Iterable<Member> | undefined): readonly string[] {
  return [...members ?? []].map(String);
}

Deno.test("MemberSet counts references", () => {
  const set = new MemberSet();
  set.add(member(1));
  set.add(member(1));
  set.remove(member(1));
  assertEquals(texts(set.members()), ["10.0.0.1"]);
  set.remove(member(1));
  set.remove(member(1));
  assertEquals(texts(set.members()), []);
});

Deno.test("MemberSet.changesSince() leads from any revision it knows to the present", () => {
  const step = fc.record({ add: fc.boolean(), number: fc.integer({ min: 1, max: 4 }) });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, at) => {
    const set = new MemberSet();
    let before: Set<string> | undefined;
    let revision = 0;
    steps.forEach(({ add, number }, index) => {
      if (index === at) {
        before = new Set(texts(set.members()));
        revision = set.revision;
      }
      if (add) set.add(member(number));
      else set.remove(member(number));
    });
    if (before === undefined) return;
    const changes = set.changesSince(revision);
    for (const it of texts(changes?.removed)) assertEquals(before.delete(it), true);
    for (const it of texts(changes?.added)) before.add(it);
    assertEquals([...before].sort(), [...texts(set.members())].sort());
  }));
});

Deno.test("MemberSet.changesSince() says so when its log is too short", () => {
  const set = new MemberSet();
  for (let i = 0; i < 5000; i++) set.add(member(i));
  assertEquals(set.changesSince(0), undefined);
  assertEquals(set.changesSince(set.revision), { added: [], removed: [] });
  assertEquals(texts(set.changesSince(set.revision - 2)?.added), ["10.0.19.134", "10.0.19.135"]);
  assertEquals(set.changesSince(set.revision + 1), undefined);
});

Deno.test("AddressPort.parse() reads what toString() writes, and nothing else", () => {
  for (const text of ["10.0.0.1,6,80", "fd00::1,17,53", "10.0.0.1,132,65535"]) {
    assertEquals(AddressPort.parse(text).toString(), text);
  }
  for (const text of ["", "10.0.0.1", "10.0.0.1,6", "10.0.0.1,7,80", "10.0.0.1,6,x", "x,6,80"]) {
    assertThrows(() => AddressPort.parse(text), SyntaxError);
  }
});
