import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { MemberSet } from "./member_set.ts";

Deno.test("MemberSet counts references", () => {
  const set = new MemberSet();
  set.add("a");
  set.add("a");
  set.remove("a");
  assertEquals([...set.members()], ["a"]);
  set.remove("a");
  set.remove("a");
  assertEquals([...set.members()], []);
});

Deno.test("MemberSet.changesSince() leads from any revision it knows to the present", () => {
  const step = fc.record({ add: fc.boolean(), member: fc.constantFrom("a", "b", "c", "d") });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.nat(60), (steps, at) => {
    const set = new MemberSet();
    let before: Set<string> | undefined;
    let revision = 0;
    steps.forEach(({ add, member }, index) => {
      if (index === at) {
        before = new Set(set.members());
        revision = set.revision;
      }
      if (add) set.add(member);
      else set.remove(member);
    });
    if (before === undefined) return;
    const changes = set.changesSince(revision);
    for (const member of changes?.removed ?? []) assertEquals(before.delete(member), true);
    for (const member of changes?.added ?? []) before.add(member);
    assertEquals([...before].sort(), [...set.members()].sort());
  }));
});

Deno.test("MemberSet.changesSince() says so when its log is too short", () => {
  const set = new MemberSet();
  for (let i = 0; i < 5000; i++) set.add(`${i}`);
  assertEquals(set.changesSince(0), undefined);
  assertEquals(set.changesSince(set.revision), { added: [], removed: [] });
  assertEquals(set.changesSince(set.revision - 2)?.added, ["4998", "4999"]);
  assertEquals(set.changesSince(set.revision + 1), undefined);
});
