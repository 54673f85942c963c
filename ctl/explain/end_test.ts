import { assertEquals, assertThrows } from "@std/assert";
import { CtlError } from "../error.ts";
import { parseSource, parseTarget } from "./end.ts";

/** Each target as `party port/protocol`. */
function describe(text: string): string {
  const { party, port } = parseTarget(text, "here");
  const who = party.kind === "pod" ? `${party.namespace}/${party.name}` : `<${party.address}>`;
  return port === undefined ? who : `${who} ${port.port}/${port.protocol}`;
}

const TARGETS: readonly [string, string][] = [
  ["web", "here/web"],
  ["web:80", "here/web 80/TCP"],
  ["shop/web", "shop/web"],
  ["shop/web:8080", "shop/web 8080/TCP"],
  ["shop/web.v2:53/udp", "shop/web.v2 53/UDP"],
  ["shop/web:9/SCTP", "shop/web 9/SCTP"],
  ["shop/web:http", "shop/web http/TCP"],
  ["10.0.0.7", "<10.0.0.7>"],
  ["10.0.0.7:443", "<10.0.0.7> 443/TCP"],
  ["fd00::1:80", "<fd00::1:80>"],
  ["[fd00::1]:80", "<fd00::1> 80/TCP"],
  ["[FD00::1]", "<fd00::1>"],
];
for (const [text, expected] of TARGETS) {
  Deno.test(`parseTarget() reads "${text}"`, () => assertEquals(describe(text), expected));
}

const MALFORMED: readonly [string, string][] = [
  ["", 'Cannot read "": write namespace/pod, pod, or an IP address'],
  ["a/b/c/d:1", 'Cannot read "a/b/c/d": write namespace/pod, pod, or an IP address'],
  ["Shop/Web", 'Cannot read "Shop/Web": write namespace/pod, pod, or an IP address'],
  ["web:", '"" is no port: write a number from 1 to 65535, or a port\'s name'],
  ["web:0", '"0" is no port: write a number from 1 to 65535, or a port\'s name'],
  ["web:65536", '"65536" is no port: write a number from 1 to 65535, or a port\'s name'],
  ["web:80/quic", 'Unknown protocol "quic"; protocols are tcp, udp and sctp'],
  ["web:80/icmp", "ICMP has no ports: leave the port out to ask for it"],
  ["10.0.0.256:80", '"10.0.0.256" is no IP address'],
  ["10.0.0.0/8:80", '"10.0.0.0/8" is no IP address'],
  ["[fd00::zz]:80", '"[fd00::zz]" is no IP address'],
  [
    "fd00::zz:80",
    'Cannot read "fd00::zz:80": an IPv6 address with a port is written "[address]:port"',
  ],
];
for (const [text, message] of MALFORMED) {
  Deno.test(`parseTarget() refuses "${text}"`, () => {
    assertEquals(assertThrows(() => parseTarget(text, "here"), CtlError).message, message);
  });
}

Deno.test("parseSource() refuses a port", () => {
  const error = assertThrows(() => parseSource("shop/web:80", "here"), CtlError);
  assertEquals(error.message, 'The source takes no port: write "shop/web"');
});
