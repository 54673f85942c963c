/**
 * Byte goldens. Truth is what `ip` (iproute2 6.1) was seen to send for the command above each; where
 * ours differ by intent, the comment says how.
 */

import { assertEquals, assertThrows } from "@std/assert";
import { goldenBytes, requestBytes } from "../../../tests/support/golden/golden_bytes.ts";
import { AssertionError } from "../../base/assert.ts";
import type { RawMessage, Request } from "../message.ts";
import {
  addLink,
  addVeth,
  deleteLink,
  dumpLinks,
  getLink,
  isDeletedLink,
  parseLink,
  setLink,
} from "./link.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "./message.ts";

const GOLDENS: Readonly<Record<string, readonly [Request, string]>> = {
  // ip link add name cali0 address ee:ee:ee:ee:ee:ee mtu 1400 up type veth \
  //    peer name eth0 address 02:00:00:00:00:05 mtu 1400 netns pod
  // ip writes MTU before the name, the kind without its NUL, and neither NLM_F_ECHO nor NLA_F_NESTED.
  "addVeth()": [
    addVeth({
      name: "cali0",
      address: "ee:ee:ee:ee:ee:ee",
      mtu: 1400,
      up: true,
      peer: { name: "eth0", address: "02:00:00:00:00:05", mtu: 1400, namespaceFd: 4 },
    }),
    `
    90000000 1000 0906           # length 144, RTM_NEWLINK, REQUEST ECHO EXCL CREATE
    00000000 00000000            # sequence, port id
    00 00 0000 00000000          # AF_UNSPEC, pad, type, index: nothing said
    01000000 01000000            # flags IFF_UP, change IFF_UP
    0a00 0100 eeeeeeeeeeee 0000  # IFLA_ADDRESS, padded
    0a00 0300 63616c693000 0000  # IFLA_IFNAME "cali0"
    0800 0400 78050000           # IFLA_MTU 1400
    5000 1280                    # IFLA_LINKINFO, nested
      0900 0100 7665746800 000000   # IFLA_INFO_KIND "veth"
      4000 0280                     # IFLA_INFO_DATA, nested
        3c00 0180                      # VETH_INFO_PEER, nested
          00 00 0000 00000000          # struct ifinfomsg: nothing set, IFF_UP least of all
          00000000 00000000
          0a00 0100 020000000005 0000  # IFLA_ADDRESS
          0900 0300 6574683000 000000  # IFLA_IFNAME "eth0"
          0800 0400 78050000           # IFLA_MTU 1400
          0800 1c00 04000000           # IFLA_NET_NS_FD
    `,
  ],
  // ip link add name br0 up type bridge
  // ip leaves IFLA_INFO_DATA out, ours is empty.
  "addLink()": [
    addLink({ kind: "bridge", name: "br0", up: true }),
    `
    3c000000 1000 0906           # length 60, RTM_NEWLINK, REQUEST ECHO EXCL CREATE
    00000000 00000000
    00 00 0000 00000000
    01000000 01000000            # flags IFF_UP, change IFF_UP
    0800 0300 62723000           # IFLA_IFNAME "br0"
    1400 1280                    # IFLA_LINKINFO, nested
      0b00 0100 62726964676500 00   # IFLA_INFO_KIND "bridge"
      0400 0200                     # IFLA_INFO_DATA, empty
    `,
  ],
  // ip link set dev cali0 mtu 1300 address 02:00:00:00:00:06
  // ip sends RTM_NEWLINK without NLM_F_CREATE, MTU first.
  "setLink() of MTU and address": [
    setLink({ index: 2, mtu: 1300, address: "02:00:00:00:00:06" }),
    `
    34000000 1300 0100           # length 52, RTM_SETLINK, REQUEST
    00000000 00000000
    00 00 0000 02000000          # index 2
    00000000 00000000            # change nothing of the flags
    0a00 0100 020000000006 0000  # IFLA_ADDRESS
    0800 0400 14050000           # IFLA_MTU 1300
    `,
  ],
  // ip link set dev cali0 up
  "setLink() up": [
    setLink({ index: 2, up: true }),
    `
    20000000 1300 0100           # length 32, RTM_SETLINK, REQUEST
    00000000 00000000
    00 00 0000 02000000          # index 2
    01000000 01000000            # flags IFF_UP, change IFF_UP
    `,
  ],
  // ip link set dev cali0 down, by name
  "setLink() down": [
    setLink({ name: "cali0", up: false }),
    `
    2c000000 1300 0100           # length 44, RTM_SETLINK, REQUEST
    00000000 00000000
    00 00 0000 00000000          # index 0: by name
    00000000 01000000            # flags none, change IFF_UP
    0a00 0300 63616c693000 0000  # IFLA_IFNAME "cali0"
    `,
  ],
  // ip link set dev cali0 nomaster
  "setLink() without master": [
    setLink({ index: 2, master: 0 }),
    `
    28000000 1300 0100           # length 40, RTM_SETLINK, REQUEST
    00000000 00000000
    00 00 0000 02000000          # index 2
    00000000 00000000
    0800 0a00 00000000           # IFLA_MASTER 0
    `,
  ],
  // ip link set dev cali0 name cali1 alias hello
  // ip leaves the alias without its NUL.
  "setLink() of name and alias": [
    setLink({ index: 2, newName: "cali1", alias: "hello" }),
    `
    38000000 1300 0100           # length 56, RTM_SETLINK, REQUEST
    00000000 00000000
    00 00 0000 02000000          # index 2
    00000000 00000000
    0a00 0300 63616c693100 0000  # IFLA_IFNAME "cali1"
    0a00 1400 68656c6c6f00 0000  # IFLA_IFALIAS "hello"
    `,
  ],
  // ip link del dev cali0
  "deleteLink()": [
    deleteLink({ index: 2 }),
    `
    20000000 1100 0100           # length 32, RTM_DELLINK, REQUEST
    00000000 00000000
    00 00 0000 02000000          # index 2
    00000000 00000000
    `,
  ],
  // ip link show dev cali0
  // ip asks for virtual functions too (IFLA_EXT_MASK 9).
  "getLink()": [
    getLink({ name: "cali0" }),
    `
    34000000 1200 0100           # length 52, RTM_GETLINK, REQUEST
    00000000 00000000
    00 00 0000 00000000          # index 0: by name
    00000000 00000000
    0a00 0300 63616c693000 0000  # IFLA_IFNAME "cali0"
    0800 1d00 08000000           # IFLA_EXT_MASK: skip the counters
    `,
  ],
  // ip link show; the socket adds NLM_F_DUMP
  "dumpLinks()": [
    dumpLinks(),
    `
    28000000 1200 0100           # length 40, RTM_GETLINK, REQUEST
    00000000 00000000
    00 00 0000 00000000
    00000000 00000000
    0800 1d00 08000000           # IFLA_EXT_MASK: skip the counters
    `,
  ],
};

for (const [name, [request, golden]] of Object.entries(GOLDENS)) {
  Deno.test(`${name} makes the bytes of its golden`, () => {
    assertEquals(requestBytes(request).toHex(), goldenBytes(golden).toHex());
  });
}

/** A veth end as the kernel describes it, cut down to what tells something. */
const VETH = goldenBytes(`
  00 00 0100 03000000          # AF_UNSPEC, pad, ARPHRD_ETHER, index 3
  43100100 00000000            # IFF_UP BROADCAST RUNNING MULTICAST LOWER_UP
  0a00 0300 63616c693000 0000  # IFLA_IFNAME "cali0"
  0800 0400 78050000           # IFLA_MTU 1400
  0800 0500 02000000           # IFLA_LINK: the other end is number 2 …
  0800 2500 00000000           # IFLA_LINK_NETNSID: … in the namespace that we call 0
  0500 1000 06 000000          # IFLA_OPERSTATE IF_OPER_UP
  0a00 0100 eeeeeeeeeeee 0000  # IFLA_ADDRESS
  0800 2900 01020304           # IFLA_GSO_MAX_SIZE: no field of ours
  1000 1200                    # IFLA_LINKINFO without NLA_F_NESTED, as the kernel writes it
    0900 0100 7665746800 000000   # IFLA_INFO_KIND "veth"
`);

function raw(type: number, payload: Uint8Array): RawMessage {
  return { type, flags: 0, sequence: 0, portId: 0, payload };
}

Deno.test("parseLink() reads a veth end", () => {
  assertEquals(parseLink(raw(RTM_NEWLINK, VETH)), {
    index: 3,
    name: "cali0",
    address: "ee:ee:ee:ee:ee:ee",
    mtu: 1400,
    flags: 0x11043,
    up: true,
    noArp: false,
    hasXdp: false,
    bridgeHooks: [],
    operationalState: 6,
    master: undefined,
    alias: undefined,
    kind: "veth",
    peerIndex: 2,
    peerNamespaceId: 0,
  });
});

Deno.test("parseLink() reads a notification that a link is gone", () => {
  const message = raw(RTM_DELLINK, VETH);
  assertEquals([isDeletedLink(message), parseLink(message).name], [true, "cali0"]);
  assertEquals(isDeletedLink(raw(RTM_NEWLINK, VETH)), false);
});

Deno.test("parseLink() takes any truncation for a RangeError or for less", () => {
  for (let length = 0; length < VETH.length; length++) {
    try {
      assertEquals(parseLink(raw(RTM_NEWLINK, VETH.subarray(0, length))).index, 3);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  }
});

Deno.test("parseLink() asserts that the message is a link", () => {
  assertThrows(() => parseLink(raw(20, VETH)), AssertionError, "is no RTM_NEWLINK");
});

Deno.test("addVeth() leaves out what a peer's value has beside", () => {
  const peer = { name: "eth0", mtu: 1400, address: undefined, note: "not for the wire" };
  const same = addVeth({ name: "a", peer: { name: "eth0", mtu: 1400 } });
  assertEquals(requestBytes(addVeth({ name: "a", peer })), requestBytes(same));
});
