import { assertEquals, assertNotEquals } from "@std/assert";
import { INTERFACE_NAMES_MAX, interfaceNameOf, interfaceNamesOf } from "./interface_name.ts";

Deno.test("interfaceNameOf() is the first of the names that a pod's interface can have", () => {
  // printf shop.db | sha1sum
  assertEquals(interfaceNameOf("shop", "db"), "cali2d7243dcff6");
  const [first, second] = interfaceNamesOf("shop", "db");
  // printf shop.db/1 | sha1sum
  assertEquals([first, second], ["cali2d7243dcff6", "calib58bc78848c"]);
  const names = [...interfaceNamesOf("shop", "db", "pods")];
  assertEquals([new Set(names).size, names.length], [INTERFACE_NAMES_MAX, INTERFACE_NAMES_MAX]);
  for (const name of names) assertEquals([name.length, name.slice(0, 4)], [15, "pods"]);
});

Deno.test("two pods can have the same first name; their next ones differ", () => {
  const [one, other] = [["shop", "db-2966798"], ["evil", "m-433254"]].map((
    [namespace = "", name = ""],
  ) => [...interfaceNamesOf(namespace, name)]);
  assertEquals(one?.[0], other?.[0]);
  assertNotEquals(one?.[1], other?.[1]);
});
