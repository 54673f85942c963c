/** Byte goldens: what `ip` (iproute2 6.1) was seen to send for the command above each. */

import { assertEquals, assertThrows } from "@std/assert";
import { goldenBytes, requestBytes } from "../../../tests/support/golden/golden_bytes.ts";
import { Address } from "../../ip/address.ts";
import type { RawMessage, Request } from "../message.ts";
import { RTM_DELNEIGH, RTM_NEWNEIGH } from "./message.ts";
import {
  addNeighbour,
  deleteNeighbour,
  dumpNeighbours,
  isDeletedNeighbour,
  parseNeighbour,
} from "./neighbour.ts";

const IPV4 = Address.parse("10.0.0.5");
const IPV6 = Address.parse("fd00::5");
const LINK_ADDRESS = "02:00:00:00:00:05";

const GOLDENS: Readonly<Record<string, readonly [Request, string]>> = {
  // ip neigh add 10.0.0.5 lladdr 02:00:00:00:00:05 dev cali0
  "addNeighbour() IPv4": [
    addNeighbour({ index: 2, address: IPV4, linkAddress: LINK_ADDRESS, permanent: true }),
    `
    30000000 1c00 0106            # length 48, RTM_NEWNEIGH, REQUEST EXCL CREATE
    00000000 00000000
    02 00 0000 02000000           # AF_INET, pads, index 2
    8000 00 00                    # NUD_PERMANENT, no flags, type
    0800 0100 0a000005            # NDA_DST
    0a00 0200 020000000005 0000   # NDA_LLADDR, padded
    `,
  ],
  // ip neigh replace fd00::5 lladdr 02:00:00:00:00:05 dev cali0 nud reachable
  "addNeighbour() IPv6 in place of another, not to stay": [
    addNeighbour({
      index: 2,
      address: IPV6,
      linkAddress: LINK_ADDRESS,
      permanent: false,
      replace: true,
    }),
    `
    3c000000 1c00 0105            # length 60, RTM_NEWNEIGH, REQUEST REPLACE CREATE
    00000000 00000000
    0a 00 0000 02000000           # AF_INET6, pads, index 2
    0200 00 00                    # NUD_REACHABLE, no flags, type
    1400 0100 fd000000000000000000000000000005  # NDA_DST
    0a00 0200 020000000005 0000   # NDA_LLADDR, padded
    `,
  ],
  // ip neigh del 10.0.0.5 dev cali0
  // ip says NUD_PERMANENT, which deleting does not look at.
  "deleteNeighbour()": [
    deleteNeighbour({ index: 2, address: IPV4 }),
    `
    24000000 1d00 0100            # length 36, RTM_DELNEIGH, REQUEST
    00000000 00000000
    02 00 0000 02000000           # AF_INET, pads, index 2
    0000 00 00
    0800 0100 0a000005            # NDA_DST
    `,
  ],
  // ip -4 neigh show dev cali0; the socket adds NLM_F_DUMP
  "dumpNeighbours() of a link": [
    dumpNeighbours(4, { index: 2 }),
    `
    24000000 1e00 0100            # length 36, RTM_GETNEIGH, REQUEST
    00000000 00000000
    02 00 0000 00000000           # AF_INET
    0000 00 00
    0800 0800 02000000            # NDA_IFINDEX 2
    `,
  ],
};

for (const [name, [request, golden]] of Object.entries(GOLDENS)) {
  Deno.test(`${name} makes the bytes of its golden`, () => {
    assertEquals(requestBytes(request).toHex(), goldenBytes(golden).toHex());
  });
}

function raw(type: number, payload: Uint8Array): RawMessage {
  return { type, flags: 0, sequence: 0, portId: 0, payload };
}

Deno.test("parseNeighbour() reads a permanent one", () => {
  const message = raw(
    RTM_NEWNEIGH,
    goldenBytes(`
      0a 00 0000 02000000 8000 80 01              # AF_INET6, index 2, permanent, NTF_ROUTER, unicast
      1400 0100 fd000000000000000000000000000005  # NDA_DST
      0a00 0200 020000000005 0000                 # NDA_LLADDR
      0800 0400 00000000                          # NDA_PROBES: no field of ours
    `),
  );
  assertEquals(isDeletedNeighbour(message), false);
  assertEquals(parseNeighbour(message), {
    family: 6,
    index: 2,
    address: IPV6,
    linkAddress: LINK_ADDRESS,
    state: 0x80,
    permanent: true,
  });
});

Deno.test("parseNeighbour() reads one that never answered and is gone", () => {
  const payload = goldenBytes("02 00 0000 02000000 2000 00 01 0800 0100 0a000005");
  const message = raw(RTM_DELNEIGH, payload);
  assertEquals(isDeletedNeighbour(message), true);
  assertEquals(parseNeighbour(message), {
    family: 4,
    index: 2,
    address: IPV4,
    linkAddress: undefined,
    state: 0x20,
    permanent: false,
  });
});

Deno.test("parseNeighbour() refuses what is no neighbour of its family", () => {
  const cases: Readonly<Record<string, string>> = {
    "no address": "02 00 0000 02000000 8000 00 01",
    "wrong family": "0a 00 0000 02000000 8000 00 01 0800 0100 0a000005",
    "a bridge's": "07 00 0000 02000000 8000 00 01 0a00 0200 020000000005 0000",
    "header cut off": "02 00 0000 02000000 80",
  };
  for (const [name, hex] of Object.entries(cases)) {
    const message = raw(RTM_NEWNEIGH, goldenBytes(hex));
    assertThrows(() => parseNeighbour(message), RangeError, undefined, name);
  }
});
