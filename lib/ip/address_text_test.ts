import { assertEquals } from "@std/assert";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { bytesOfValue, formatBytes, parseIpv4, parseIpv6 } from "./address_text.ts";

function valueOf(bytes: readonly number[]): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Texts that are addresses, nearly ones, or none. */
const group = fc.oneof(
  fc.constantFrom("", "0", "00", "0000", "ffff", "FFFF", "1", "12345", "g", "1.2.3.4", "01"),
  fc.nat(0xffff).map((it) => it.toString(16)),
);
const ipv6Text = fc.array(group, { maxLength: 10 }).map((it) => it.join(":"));
const part = fc.oneof(
  fc.nat(300).map(String),
  fc.constantFrom("", "00", "01", "0", "a", "-1", " 1"),
);
const ipv4Text = fc.array(part, { minLength: 3, maxLength: 5 }).map((it) => it.join("."));
const bytes = (length: number): fc.Arbitrary<number[]> => {
  const byte = fc.oneof(fc.constant(0), fc.nat(255));
  return fc.array(byte, { minLength: length, maxLength: length });
};

Deno.test("parseIpv4() takes what ipaddr.js takes of four decimal parts", () => {
  fc.assert(
    fc.property(fc.oneof(ipv4Text, fc.ipV4(), fc.string()), (text) => {
      const isAddress = ipaddr.IPv4.isValidFourPartDecimal(text);
      const expected = isAddress ? valueOf(ipaddr.IPv4.parse(text).toByteArray()) : undefined;
      const value = parseIpv4(text);
      assertEquals(value === undefined ? undefined : BigInt(value), expected, text);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("parseIpv6() takes what ipaddr.js takes, but for zones and dots", () => {
  fc.assert(
    fc.property(fc.oneof(ipv6Text, fc.ipV6(), fc.string()), (text) => {
      if (/[%.]/.test(text)) return;
      const isAddress = text.includes(":") && ipaddr.IPv6.isValid(text);
      const expected = isAddress ? valueOf(ipaddr.IPv6.parse(text).toByteArray()) : undefined;
      assertEquals(parseIpv6(text), expected, text);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("formatBytes() writes what ipaddr.js writes, and parsing leads back", () => {
  fc.assert(
    fc.property(bytes(16), (it) => {
      const text = formatBytes(Uint8Array.from(it));
      assertEquals(text, new ipaddr.IPv6(it).toRFC5952String());
      assertEquals(parseIpv6(text), valueOf(it));
      assertEquals([...bytesOfValue(128, valueOf(it))], it);
    }),
    { numRuns: 3_000 },
  );
  fc.assert(
    fc.property(bytes(4), (it) => {
      const text = formatBytes(Uint8Array.from(it));
      assertEquals(text, new ipaddr.IPv4(it).toString());
      assertEquals(parseIpv4(text), Number(valueOf(it)));
      assertEquals([...bytesOfValue(32, valueOf(it))], it);
    }),
  );
});
