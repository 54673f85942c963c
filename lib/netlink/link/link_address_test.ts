import { assertEquals, assertThrows } from "@std/assert";
import { formatLinkAddress, parseLinkAddress } from "./link_address.ts";

Deno.test("parseLinkAddress() and formatLinkAddress() undo each other", () => {
  for (const text of ["aa:bb:cc:dd:ee:ff", "00:00:00:00:00:00", "0a:00:00:01", "02"]) {
    assertEquals(formatLinkAddress(parseLinkAddress(text)), text);
  }
});

Deno.test("formatLinkAddress() writes lower case", () => {
  assertEquals(formatLinkAddress(parseLinkAddress("AA:0B:cC:00:00:01")), "aa:0b:cc:00:00:01");
});

Deno.test("parseLinkAddress() refuses anything else", () => {
  for (const text of ["", "aa:bb:cc:dd:ee:f", "aa-bb-cc-dd-ee-ff", "aa:bb:", "gg:00", "aabb"]) {
    assertThrows(() => parseLinkAddress(text), SyntaxError, "Cannot parse link address");
  }
});
