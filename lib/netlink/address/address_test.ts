/** Byte goldens: what `ip` (iproute2 6.1) was seen to send for the command above each. */

import { assertEquals, assertThrows } from "@std/assert";
import { goldenBytes, requestBytes } from "../../../tests/support/golden/golden_bytes.ts";
import { Prefix } from "../../ip/prefix.ts";
import type { RawMessage, Request } from "../message.ts";
import {
  addAddress,
  deleteAddress,
  dumpAddresses,
  isDeletedAddress,
  type LinkAddress,
  parseAddress,
} from "./address.ts";
import { RT_SCOPE_LINK, RTM_DELADDR, RTM_NEWADDR } from "./message.ts";

const IPV4 = Prefix.parse("10.0.0.5/24");
const IPV6 = Prefix.parse("fd00::5/64");

const GOLDENS: Readonly<Record<string, readonly [Request, string]>> = {
  // ip addr add 10.0.0.5/24 dev cali0
  "addAddress() IPv4": [
    addAddress({ index: 2, prefix: IPV4, noDad: true }),
    `
    28000000 1400 0106      # length 40, RTM_NEWADDR, REQUEST EXCL CREATE
    00000000 00000000
    02 18 00 00 02000000    # AF_INET, /24, no flags, RT_SCOPE_UNIVERSE, index 2
    0800 0200 0a000005      # IFA_LOCAL
    0800 0100 0a000005      # IFA_ADDRESS
    `,
  ],
  // ip addr add fd00::5/64 dev cali0 nodad
  "addAddress() IPv6 without duplicate address detection": [
    addAddress({ index: 2, prefix: IPV6, noDad: true }),
    `
    40000000 1400 0106      # length 64, RTM_NEWADDR, REQUEST EXCL CREATE
    00000000 00000000
    0a 40 02 00 02000000    # AF_INET6, /64, IFA_F_NODAD, RT_SCOPE_UNIVERSE, index 2
    1400 0200 fd000000000000000000000000000005  # IFA_LOCAL
    1400 0100 fd000000000000000000000000000005  # IFA_ADDRESS
    `,
  ],
  // ip addr replace 10.0.0.5/24 dev cali0 scope link
  "addAddress() in place of another": [
    addAddress({ index: 2, prefix: IPV4, scope: RT_SCOPE_LINK, replace: true }),
    `
    28000000 1400 0105      # length 40, RTM_NEWADDR, REQUEST REPLACE CREATE
    00000000 00000000
    02 18 00 fd 02000000    # AF_INET, /24, no flags, RT_SCOPE_LINK, index 2
    0800 0200 0a000005      # IFA_LOCAL
    0800 0100 0a000005      # IFA_ADDRESS
    `,
  ],
  // ip addr del fd00::5/64 dev cali0
  "deleteAddress()": [
    deleteAddress({ index: 2, prefix: IPV6 }),
    `
    40000000 1500 0100      # length 64, RTM_DELADDR, REQUEST
    00000000 00000000
    0a 40 00 00 02000000    # AF_INET6, /64, no flags, scope, index 2
    1400 0200 fd000000000000000000000000000005  # IFA_LOCAL
    1400 0100 fd000000000000000000000000000005  # IFA_ADDRESS
    `,
  ],
  // ip -4 addr show dev cali0; the socket adds NLM_F_DUMP
  "dumpAddresses() of a link": [
    dumpAddresses(4, { index: 2 }),
    `
    18000000 1600 0100      # length 24, RTM_GETADDR, REQUEST
    00000000 00000000
    02 00 00 00 02000000    # AF_INET, index 2
    `,
  ],
};

for (const [name, [request, golden]] of Object.entries(GOLDENS)) {
  Deno.test(`${name} makes the bytes of its golden`, () => {
    assertEquals(requestBytes(request).toHex(), goldenBytes(golden).toHex());
  });
}

const IPV4_REPLY = goldenBytes(`
  02 18 80 00 02000000           # AF_INET, /24, IFA_F_PERMANENT, RT_SCOPE_UNIVERSE, index 2
  0800 0100 0a0000fe             # IFA_ADDRESS: of a point-to-point link, the other end's
  0800 0200 0a000005             # IFA_LOCAL
  0a00 0300 63616c693000 0000    # IFA_LABEL "cali0"
  0800 0800 80020000             # IFA_FLAGS: more than the header holds
  1400 0600 ffffffff ffffffff 00000000 00000000  # IFA_CACHEINFO: no field of ours
`);

function raw(type: number, payload: Uint8Array): RawMessage {
  return { type, flags: 0, sequence: 0, portId: 0, payload };
}

function withText(address: LinkAddress): Record<string, unknown> {
  return { ...address, prefix: String(address.prefix) };
}

Deno.test("parseAddress() takes the own end of a point-to-point link and the wide flags", () => {
  assertEquals(withText(parseAddress(raw(RTM_NEWADDR, IPV4_REPLY))), {
    index: 2,
    prefix: "10.0.0.5/24",
    flags: 0x280,
    scope: 0,
    label: "cali0",
  });
});

Deno.test("parseAddress() takes IPv6, which has no own end and no label", () => {
  const payload = goldenBytes(`
    0a 80 02 fd 03000000                        # AF_INET6, /128, IFA_F_NODAD, link, index 3
    1400 0100 fe800000000000000000000000000001  # IFA_ADDRESS
  `);
  const message = raw(RTM_DELADDR, payload);
  assertEquals(isDeletedAddress(message), true);
  assertEquals(withText(parseAddress(message)), {
    index: 3,
    prefix: "fe80::1/128",
    flags: 2,
    scope: RT_SCOPE_LINK,
    label: undefined,
  });
});

Deno.test("parseAddress() refuses what is no address of its family", () => {
  const cases: Readonly<Record<string, string>> = {
    "no address": "02 18 80 00 02000000",
    "wrong family": "0a 18 80 00 02000000 0800 0100 0a000005",
    "unknown family": "07 18 80 00 02000000 0800 0100 0a000005",
    "three bytes": "02 18 80 00 02000000 0700 0100 0a0000 00",
    "prefix too long": "02 21 80 00 02000000 0800 0100 0a000005",
    "header cut off": "02 18 80 00 0200",
  };
  for (const [name, hex] of Object.entries(cases)) {
    const message = raw(RTM_NEWADDR, goldenBytes(hex));
    assertThrows(() => parseAddress(message), RangeError, undefined, name);
  }
});
