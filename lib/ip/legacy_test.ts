import { assertEquals } from "@std/assert";
import { isMapped, parseLegacyAddress, parseLegacyPrefix } from "./legacy.ts";
import { Address } from "./address.ts";

/**
 * What Go's parsers make of it: the first rows are those of parseIPTests and parseCIDRTests in
 * k8s.io/utils/internal/third_party/forked/golang/net/ip_test.go, the others were derived from ip.go there.
 */
const ADDRESSES: readonly (readonly [string, string | undefined])[] = [
  ["127.0.1.2", "127.0.1.2"],
  ["127.001.002.003", "127.1.2.3"],
  ["127.007.008.009", "127.7.8.9"],
  ["127.010.020.030", "127.10.20.30"],
  ["::ffff:127.1.2.3", "127.1.2.3"],
  ["::ffff:127.010.020.030", "127.10.20.30"],
  ["::ffff:7f01:0203", "127.1.2.3"],
  ["0:0:0:0:0000:ffff:127.1.2.3", "127.1.2.3"],
  ["0:0:0:0:000000:ffff:127.1.2.3", "127.1.2.3"],
  ["0:0:0:0::ffff:127.1.2.3", "127.1.2.3"],
  ["2001:4860:0:2001::68", "2001:4860:0:2001::68"],
  ["2001:4860:0000:2001:0000:0000:0000:0068", "2001:4860:0:2001::68"],
  ["-0.0.0.0", undefined],
  ["0.0.0.-3", undefined],
  ["127.0.0.256", undefined],
  ["abc", undefined],
  ["123:", undefined],
  ["fe80::1%lo0", undefined],
  ["", undefined],
  ["a1:a2:a3:a4::b1:b2:b3:b4", undefined],
  ["0000000000010.0.0.1", "10.0.0.1"],
  ["000.000.000.000", "0.0.0.0"],
  ["0x10.0.0.1", undefined],
  ["1.2..4", undefined],
  ["1.2.3", undefined],
  ["00000001::", "1::"],
  ["::0.0.0.1", "::1"],
  ["64:ff9b::010.0.0.1", "64:ff9b::a00:1"],
  ["::ffff:0:10.0.0.1", "::ffff:0:a00:1"],
  ["::fffe:10.0.0.1", "::fffe:a00:1"],
];

for (const [text, expected] of ADDRESSES) {
  Deno.test(`parseLegacyAddress() takes "${text}" as API servers do`, () => {
    assertEquals(parseLegacyAddress(text)?.toString(), expected);
  });
}

const PREFIXES: readonly (readonly [string, string | undefined])[] = [
  ["135.104.0.0/32", "135.104.0.0/32"],
  ["135.104.0.1/24", "135.104.0.0/24"],
  ["127.000.000.001/32", "127.0.0.1/32"],
  ["127.007.008.009/32", "127.7.8.9/32"],
  ["127.010.020.030/32", "127.10.20.30/32"],
  ["abcd:2345::/24", "abcd:2300::/24"],
  ["2001:DB8::1/48", "2001:db8::/48"],
  ["192.168.1.1/255.255.255.0", undefined],
  ["192.168.1.1/35", undefined],
  ["2001:db8::1/-1", undefined],
  ["0.0.0.0/-0", undefined],
  ["", undefined],
  ["010.0.0.0/8", "10.0.0.0/8"],
  ["010.0.0.0/008", "10.0.0.0/8"],
  ["0000.0.0.0/0", "0.0.0.0/0"],
  ["10.0.0.0/0x8", undefined],
  ["10.0.0.0/", undefined],
  ["10.0.0.0", undefined],
  ["10.0.0.0/8/8", undefined],
  ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
  ["::ffff:010.0.0.0/0104", "10.0.0.0/8"],
  ["::ffff:a00:0/104", "10.0.0.0/8"],
  ["::ffff:10.1.2.3/128", "10.1.2.3/32"],
  ["::ffff:0:0/96", "0.0.0.0/0"],
  ["::ffff:10.0.0.0/129", undefined],
  // Masked to less than 96 bits it is no IPv4 address any more: To4() wants all of ffff.
  ["::ffff:10.0.0.0/95", "::fffe:0:0/95"],
  ["::ffff:10.0.0.0/0", "::/0"],
  ["fe80::1%eth0/64", undefined],
];

for (const [text, expected] of PREFIXES) {
  Deno.test(`parseLegacyPrefix() takes "${text}" as API servers do`, () => {
    assertEquals(parseLegacyPrefix(text)?.network.toString(), expected);
  });
}

Deno.test("isMapped() knows IPv4 written as IPv6", () => {
  const of = (text: string): boolean => isMapped(Address.parse(text));
  assertEquals(["::ffff:1.2.3.4", "::ffff:0:0", "::fffe:0:1", "1.2.3.4", "::"].map(of), [
    true,
    true,
    false,
    false,
    false,
  ]);
});
