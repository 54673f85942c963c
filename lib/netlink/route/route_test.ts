/** Byte goldens: what `ip` (iproute2 6.1) was seen to send for the command above each. */

import { assertEquals, assertThrows } from "@std/assert";
import { goldenBytes, requestBytes } from "../../../tests/support/golden/golden_bytes.ts";
import { AssertionError } from "../../base/assert.ts";
import { Address } from "../../ip/address.ts";
import { Prefix } from "../../ip/prefix.ts";
import type { RawMessage, Request } from "../message.ts";
import { RTM_DELROUTE, RTM_NEWROUTE } from "./message.ts";
import { addRoute, deleteRoute, dumpRoutes, isDeletedRoute, parseRoute } from "./route.ts";

const GOLDENS: Readonly<Record<string, readonly [Request, string]>> = {
  // ip route add 10.0.0.5/32 dev cali0
  "addRoute() to a host": [
    addRoute({ destination: Prefix.parse("10.0.0.5/32"), index: 2 }),
    `
    2c000000 1800 0106         # length 44, RTM_NEWROUTE, REQUEST EXCL CREATE
    00000000 00000000
    02 20 00 00 fe 03 fd 01    # AF_INET, /32, source /0, tos, main, RTPROT_BOOT, link, RTN_UNICAST
    00000000                   # no flags
    0800 0100 0a000005         # RTA_DST
    0800 0400 02000000         # RTA_OIF
    `,
  ],
  // ip route add fd00::5/128 dev cali0
  "addRoute() to an IPv6 host": [
    addRoute({ destination: Prefix.parse("fd00::5/128"), index: 2 }),
    `
    38000000 1800 0106         # length 56, RTM_NEWROUTE, REQUEST EXCL CREATE
    00000000 00000000
    0a 80 00 00 fe 03 00 01    # AF_INET6, /128, source /0, tos, main, RTPROT_BOOT, universe, unicast
    00000000
    1400 0100 fd000000000000000000000000000005  # RTA_DST
    0800 0400 02000000         # RTA_OIF
    `,
  ],
  // ip route add default via 169.254.1.1 dev cali0 onlink
  // ip writes the gateway first.
  "addRoute() by a gateway that no address covers": [
    addRoute({
      destination: "default",
      index: 2,
      gateway: Address.parse("169.254.1.1"),
      onlink: true,
    }),
    `
    2c000000 1800 0106         # length 44, RTM_NEWROUTE, REQUEST EXCL CREATE
    00000000 00000000
    02 00 00 00 fe 03 00 01    # AF_INET, /0, source /0, tos, main, RTPROT_BOOT, universe, unicast
    04000000                   # RTNH_F_ONLINK
    0800 0400 02000000         # RTA_OIF
    0800 0500 a9fe0101         # RTA_GATEWAY
    `,
  ],
  // ip -6 route add default via fe80::1 dev cali0
  // ip adds RTA_DST ::, which says nothing at length 0.
  "addRoute() by an IPv6 gateway": [
    addRoute({ destination: "default", index: 2, gateway: Address.parse("fe80::1") }),
    `
    38000000 1800 0106         # length 56, RTM_NEWROUTE, REQUEST EXCL CREATE
    00000000 00000000
    0a 00 00 00 fe 03 00 01    # AF_INET6, /0, source /0, tos, main, RTPROT_BOOT, universe, unicast
    00000000
    0800 0400 02000000         # RTA_OIF
    1400 0500 fe800000000000000000000000000001  # RTA_GATEWAY
    `,
  ],
  // ip route add 10.9.0.0/16 dev cali0 table 1000 proto 80 metric 7
  // ip writes the table before the metric and the link.
  "addRoute() in a table of a large number": [
    addRoute({
      destination: Prefix.parse("10.9.8.7/16"),
      index: 2,
      table: 1000,
      protocol: 80,
      priority: 7,
    }),
    `
    3c000000 1800 0106         # length 60, RTM_NEWROUTE, REQUEST EXCL CREATE
    00000000 00000000
    02 10 00 00 00 50 fd 01    # AF_INET, /16, source /0, tos, RT_TABLE_UNSPEC, 80, link, unicast
    00000000
    0800 0100 0a090000         # RTA_DST, host bits cleared
    0800 0400 02000000         # RTA_OIF
    0800 0600 07000000         # RTA_PRIORITY
    0800 0f00 e8030000         # RTA_TABLE 1000
    `,
  ],
  // ip route replace 10.0.0.5/32 dev cali0 src 10.0.0.1
  // ip writes the source before the link.
  "addRoute() in place of another": [
    addRoute({
      destination: Prefix.parse("10.0.0.5/32"),
      index: 2,
      preferredSource: Address.parse("10.0.0.1"),
      replace: true,
    }),
    `
    34000000 1800 0105         # length 52, RTM_NEWROUTE, REQUEST REPLACE CREATE
    00000000 00000000
    02 20 00 00 fe 03 fd 01    # AF_INET, /32, source /0, tos, main, RTPROT_BOOT, link, unicast
    00000000
    0800 0100 0a000005         # RTA_DST
    0800 0400 02000000         # RTA_OIF
    0800 0700 0a000001         # RTA_PREFSRC
    `,
  ],
  // ip route add 192.168.0.0/16 via 169.254.1.1 dev cali0 mtu 1400 advmss 1300
  // ip writes the gateway first, and marks no nest.
  "addRoute() with metrics": [
    addRoute({
      destination: Prefix.parse("192.168.0.0/16"),
      index: 2,
      gateway: Address.parse("169.254.1.1"),
      mtu: 1400,
      advmss: 1300,
    }),
    `
    48000000 1800 0106         # length 72, RTM_NEWROUTE, REQUEST EXCL CREATE
    00000000 00000000
    02 10 00 00 fe 03 00 01    # AF_INET, /16, source /0, tos, main, RTPROT_BOOT, universe, unicast
    00000000
    0800 0100 c0a80000         # RTA_DST
    0800 0400 02000000         # RTA_OIF
    0800 0500 a9fe0101         # RTA_GATEWAY
    1400 0880                  # RTA_METRICS
      0800 0200 78050000       # RTAX_MTU 1400
      0800 0800 14050000       # RTAX_ADVMSS 1300
    `,
  ],
  // ip route del 10.0.0.5/32 dev cali0
  "deleteRoute()": [
    deleteRoute({ destination: Prefix.parse("10.0.0.5/32"), index: 2 }),
    `
    2c000000 1900 0100         # length 44, RTM_DELROUTE, REQUEST
    00000000 00000000
    02 20 00 00 fe 00 ff 00    # AF_INET, /32, source /0, tos, main, any protocol, nowhere, any type
    00000000
    0800 0100 0a000005         # RTA_DST
    0800 0400 02000000         # RTA_OIF
    `,
  ],
  // ip -6 route show table 1000 dev cali0; the socket adds NLM_F_DUMP
  "dumpRoutes() of a link and a table": [
    dumpRoutes(6, { index: 2, table: 1000 }),
    `
    2c000000 1a00 0100         # length 44, RTM_GETROUTE, REQUEST
    00000000 00000000
    0a 00 00 00 00 00 00 00    # AF_INET6
    00000000
    0800 0400 02000000         # RTA_OIF
    0800 0f00 e8030000         # RTA_TABLE 1000
    `,
  ],
};

for (const [name, [request, golden]] of Object.entries(GOLDENS)) {
  Deno.test(`${name} makes the bytes of its golden`, () => {
    assertEquals(requestBytes(request).toHex(), goldenBytes(golden).toHex());
  });
}

Deno.test("addRoute() takes a prefix of length 0 for the default", () => {
  const gateway = Address.parse("10.0.0.1");
  const byPrefix = addRoute({ destination: Prefix.parse("0.0.0.0/0"), index: 2, gateway });
  const byName = addRoute({ destination: "default", index: 2, gateway });
  assertEquals(requestBytes(byPrefix), requestBytes(byName));
});

Deno.test("addRoute() asserts that a default route has a family", () => {
  const make = (): Request => addRoute({ destination: "default", index: 2 });
  assertThrows(make, AssertionError, "needs its family");
});

function raw(type: number, payload: Uint8Array): RawMessage {
  return { type, flags: 0, sequence: 0, portId: 0, payload };
}

Deno.test("parseRoute() reads a default route with its table attribute", () => {
  const message = raw(
    RTM_NEWROUTE,
    goldenBytes(`
      02 00 00 00 fc 03 00 01    # AF_INET, /0, RT_TABLE_COMPAT, RTPROT_BOOT, universe, unicast
      04000000                   # RTNH_F_ONLINK
      0800 0f00 e8030000         # RTA_TABLE 1000
      0800 0500 a9fe0101         # RTA_GATEWAY
      0800 0400 02000000         # RTA_OIF
    `),
  );
  assertEquals(isDeletedRoute(message), false);
  assertEquals(parseRoute(message), {
    family: 4,
    destination: "default",
    index: 2,
    gateway: Address.parse("169.254.1.1"),
    onlink: true,
    table: 1000,
    protocol: 3,
    scope: 0,
    type: 1,
    priority: 0,
    preferredSource: undefined,
  });
});

Deno.test("parseRoute() reads a notification that a route is gone", () => {
  const message = raw(
    RTM_DELROUTE,
    goldenBytes(`
      0a 80 00 00 fe 02 00 01 00000000            # AF_INET6, /128, main, RTPROT_KERNEL
      1400 0100 fd000000000000000000000000000005  # RTA_DST
      0800 0600 00010000                          # RTA_PRIORITY 256
    `),
  );
  const { destination, index, table, protocol, priority } = parseRoute(message);
  assertEquals(isDeletedRoute(message), true);
  assertEquals({ destination: String(destination), index, table, protocol, priority }, {
    destination: "fd00::5/128",
    index: undefined,
    table: 254,
    protocol: 2,
    priority: 256,
  });
});

Deno.test("parseRoute() refuses what is no route of its family", () => {
  const cases: Readonly<Record<string, string>> = {
    "no destination": "02 20 00 00 fe 03 fd 01 00000000",
    "wrong family": "0a 20 00 00 fe 03 fd 01 00000000 0800 0100 0a000005",
    "prefix too long": "02 21 00 00 fe 03 fd 01 00000000 0800 0100 0a000005",
    "multicast routing's family": "80 20 00 00 fe 03 fd 01 00000000 0800 0100 0a000005",
    "header cut off": "02 20 00 00 fe 03 fd",
  };
  for (const [name, hex] of Object.entries(cases)) {
    const message = raw(RTM_NEWROUTE, goldenBytes(hex));
    assertThrows(() => parseRoute(message), RangeError, undefined, name);
  }
});
