import { assertEquals, assertThrows } from "@std/assert";
import { encodeUnixAddress } from "./unix_address.ts";

Deno.test("encodeUnixAddress() is struct sockaddr_un", () => {
  assertEquals(encodeUnixAddress("/a").toHex(), "0100" + "2f61" + "00");
  assertEquals(encodeUnixAddress("@a").toHex(), "0100" + "0061", "abstract: no NUL at the end");
  assertEquals(encodeUnixAddress("/".repeat(107)).length, 110);
  assertThrows(() => encodeUnixAddress("/".repeat(108)), RangeError, "too long");
  assertThrows(() => encodeUnixAddress("/a\0b"), RangeError, "NUL");
});
