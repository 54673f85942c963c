import { assertEquals, assertThrows } from "@std/assert";
import { Address } from "./address.ts";
import { Prefix } from "./prefix.ts";

Deno.test("Address.parse() makes one text of each address", () => {
  const cases: readonly (readonly [string, 4 | 6, string])[] = [
    ["0.0.0.0", 4, "0.0.0.0"],
    ["10.244.0.1", 4, "10.244.0.1"],
    ["255.255.255.255", 4, "255.255.255.255"],
    ["::", 6, "::"],
    ["::1", 6, "::1"],
    ["FD00:0:0::0001", 6, "fd00::1"],
    ["2001:db8:0:1:0:0:0:1", 6, "2001:db8:0:1::1"],
    ["2001:db8:0:1:1:1:1:1", 6, "2001:db8:0:1:1:1:1:1"],
    ["::ffff:10.0.0.1", 6, "::ffff:a00:1"],
    ["::10.0.0.1", 6, "::a00:1"],
    ["64:ff9b::10.0.0.1", 6, "64:ff9b::a00:1"],
    ["1:2:3:4:5:6:255.255.255.255", 6, "1:2:3:4:5:6:ffff:ffff"],
  ];
  for (const [text, family, canonical] of cases) {
    const address = Address.parse(text);
    assertEquals([address.family, `${address}`], [family, canonical], text);
    assertEquals(`${Address.fromBytes(address.bytes)}`, canonical);
  }
});

Deno.test("Address.parse() refuses what is no address", () => {
  const cases = [
    "",
    "1.2.3",
    "1.2.3.",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "0x10.0.0.1",
    "1e1.0.0.1",
    " 1.2.3.4",
    "1.2.3.4 ",
    "1.2.3.4/32",
    "1::2x",
    "1:::2",
    ":1",
    "1:2:3:4:5:6:7:8:9",
    "fe80::1%eth0",
    "::ffff:010.1.1.1",
    "::1.2.3",
    "::1.2.3.256",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1:2:3:4:5:1.2.3.4",
    "12345::",
    "localhost",
  ];
  for (const text of cases) {
    assertThrows(() => Address.parse(text), SyntaxError, `"${text}"`);
    assertEquals(Address.tryParse(text), undefined);
  }
});

Deno.test("Prefix.parse() keeps host bits, and network clears them", () => {
  const prefix = Prefix.parse("10.244.3.7/24");
  assertEquals([`${prefix}`, `${prefix.network}`], ["10.244.3.7/24", "10.244.3.0/24"]);
  assertEquals(prefix.contains(Address.parse("10.244.3.255")), true);
  assertEquals(prefix.contains(Address.parse("10.244.4.0")), false);
  assertEquals(prefix.contains(Address.parse("::1")), false);
  assertEquals(`${Prefix.host(Address.parse("fd00::1"))}`, "fd00::1/128");
  assertEquals(Prefix.parse("0.0.0.0/0").contains(Address.parse("8.8.8.8")), true);
});

Deno.test("Prefix.parse() refuses what is no prefix", () => {
  for (const text of ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "::/129", "x/8"]) {
    assertThrows(() => Prefix.parse(text), SyntaxError, `"${text}"`);
  }
});
