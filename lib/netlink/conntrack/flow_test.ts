/** Byte goldens: what `conntrack` 1.4.7 was seen to send for the command above each, unless noted. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { goldenBytes, requestBytes } from "../../../tests/support/golden/golden_bytes.ts";
import { Address } from "../../ip/address.ts";
import { NLMSG_HDRLEN, type Request } from "../message.ts";
import {
  deleteFlow,
  dumpFlows,
  type FlowReference,
  getFlow,
  getFlowCount,
  parseFlow,
  parseTableSize,
  updateFlow,
} from "./flow.ts";
import { IPS_ASSURED, IPS_CONFIRMED, IPS_FIXED_TIMEOUT, IPS_SEEN_REPLY } from "./message.ts";
import { decodeTuple, encodeTuple, formatTuple, type Tuple } from "./tuple.ts";

const IPPROTO = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 };

function tuple(source: string, destination: string, rest: Partial<Tuple>): Tuple {
  return {
    source: Address.parse(source),
    destination: Address.parse(destination),
    protocol: IPPROTO.tcp,
    ports: undefined,
    icmp: undefined,
    zone: undefined,
    ...rest,
  };
}

function flow(original: Tuple, zone = 0): FlowReference {
  return { original, zone, id: 0x01020304 };
}

const TCP = flow(
  tuple("10.0.0.1", "10.0.0.2", { ports: { source: 40000, destination: 80 } }),
);
const UDP6 = flow(tuple("fd00::1", "fd00::2", {
  protocol: IPPROTO.udp,
  ports: { source: 40000, destination: 53 },
}));
const PING = flow(tuple("10.0.0.1", "10.0.0.2", {
  protocol: IPPROTO.icmp,
  icmp: { id: 7, type: 8, code: 0 },
}));
const PING6 = flow(tuple("fd00::1", "fd00::2", {
  protocol: IPPROTO.icmpv6,
  icmp: { id: 7, type: 128, code: 0 },
}));

const GOLDENS: Readonly<Record<string, readonly [Request, string]>> = {
  // conntrack -L -f ipv4
  "dumpFlows() of a family": [
    dumpFlows({ family: 4 }),
    `
    14000000 0101 0100         # length 20, CTNETLINK CT_GET, REQUEST; dump() adds DUMP
    00000000 00000000
    02 00 0000                 # AF_INET
    `,
  ],
  // conntrack -C
  "getFlowCount()": [
    getFlowCount(),
    `
    14000000 0501 0100         # length 20, CTNETLINK CT_GET_STATS, REQUEST
    00000000 00000000
    00 00 0000                 # AF_UNSPEC
    `,
  ],
  // By the header: this conntrack filters what it has dumped.
  "dumpFlows() of one source": [
    dumpFlows({ family: 4, original: { source: Address.parse("10.0.0.1") } }),
    `
    30000000 0101 0100
    00000000 00000000
    02 00 0000
    1000 0180                  # CTA_TUPLE_ORIG
      0c00 0180                #   CTA_TUPLE_IP
        0800 0100 0a000001     #     CTA_IP_V4_SRC
    0c00 1980                  # CTA_FILTER
      0800 0100 01000000       #   CTA_FILTER_ORIG_FLAGS: CTA_IP_SRC, host order
    `,
  ],
  // By the header.
  "dumpFlows() of a status": [
    dumpFlows({ status: IPS_FIXED_TIMEOUT }),
    `
    24000000 0101 0100
    00000000 00000000
    00 00 0000
    0800 0300 00000400         # CTA_STATUS
    0800 1a00 00000400         # CTA_STATUS_MASK
    `,
  ],
  // conntrack -G -p udp -s fd00::1 -d fd00::2 --sport 40000 --dport 53
  "getFlow() of a UDP flow": [
    getFlow(UDP6),
    `
    60000000 0101 0100         # length 96, CTNETLINK CT_GET, REQUEST
    00000000 00000000
    0a 00 0000                 # AF_INET6
    4c00 0180                  # CTA_TUPLE_ORIG
      2c00 0180                #   CTA_TUPLE_IP
        1400 0300 fd000000000000000000000000000001  # CTA_IP_V6_SRC
        1400 0400 fd000000000000000000000000000002  # CTA_IP_V6_DST
      1c00 0280                #   CTA_TUPLE_PROTO
        0500 0100 11000000     #     CTA_PROTO_NUM
        0600 0200 9c400000     #     CTA_PROTO_SRC_PORT
        0600 0300 00350000     #     CTA_PROTO_DST_PORT
    `,
  ],
  // conntrack -G -p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 7
  // Ours has the id behind it, and deletes.
  "deleteFlow() of a ping": [
    deleteFlow(PING),
    `
    58000000 0201 0100         # length 88, CTNETLINK CT_DELETE, REQUEST
    00000000 00000000
    02 00 0000
    3c00 0180                  # CTA_TUPLE_ORIG
      1400 0180                #   CTA_TUPLE_IP
        0800 0100 0a000001     #     CTA_IP_V4_SRC
        0800 0200 0a000002     #     CTA_IP_V4_DST
      2400 0280                #   CTA_TUPLE_PROTO
        0500 0100 01000000     #     CTA_PROTO_NUM
        0500 0600 00000000     #     CTA_PROTO_ICMP_CODE
        0500 0500 08000000     #     CTA_PROTO_ICMP_TYPE
        0600 0400 00070000     #     CTA_PROTO_ICMP_ID
    0800 0c00 01020304         # CTA_ID
    `,
  ],
  // conntrack -G -p icmpv6 -s fd00::1 -d fd00::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7
  // Ours has id and zone behind it, and deletes.
  "deleteFlow() of an IPv6 ping in a zone": [
    deleteFlow({ ...PING6, zone: 7 }),
    `
    78000000 0201 0100         # length 120, CTNETLINK CT_DELETE, REQUEST
    00000000 00000000
    0a 00 0000
    5400 0180                  # CTA_TUPLE_ORIG
      2c00 0180                #   CTA_TUPLE_IP
        1400 0300 fd000000000000000000000000000001  # CTA_IP_V6_SRC
        1400 0400 fd000000000000000000000000000002  # CTA_IP_V6_DST
      2400 0280                #   CTA_TUPLE_PROTO
        0500 0100 3a000000     #     CTA_PROTO_NUM
        0500 0900 00000000     #     CTA_PROTO_ICMPV6_CODE
        0500 0800 80000000     #     CTA_PROTO_ICMPV6_TYPE
        0600 0700 00070000     #     CTA_PROTO_ICMPV6_ID
    0800 0c00 01020304         # CTA_ID
    0600 1200 00070000         # CTA_ZONE
    `,
  ],
  // conntrack -U -f ipv4 -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 40000 --dport 80 -t 300
  //   -u FIXED_TIMEOUT,ASSURED,SEEN_REPLY
  // conntrack adds CTA_PROTOINFO with flags of TCP.
  "updateFlow()": [
    updateFlow(TCP, {
      status: IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED | IPS_FIXED_TIMEOUT,
      timeoutSeconds: 300,
    }),
    `
    58000000 0001 0100         # length 88, CTNETLINK CT_NEW, REQUEST
    00000000 00000000
    02 00 0000
    3400 0180                  # CTA_TUPLE_ORIG
      1400 0180                #   CTA_TUPLE_IP
        0800 0100 0a000001     #     CTA_IP_V4_SRC
        0800 0200 0a000002     #     CTA_IP_V4_DST
      1c00 0280                #   CTA_TUPLE_PROTO
        0500 0100 06000000     #     CTA_PROTO_NUM
        0600 0200 9c400000     #     CTA_PROTO_SRC_PORT
        0600 0300 00500000     #     CTA_PROTO_DST_PORT
    0800 0300 0000040e         # CTA_STATUS
    0800 0700 0000012c         # CTA_TIMEOUT
    `,
  ],
};

for (const [what, [request, golden]] of Object.entries(GOLDENS)) {
  Deno.test(`${what} makes the expected bytes`, () => {
    assertEquals(requestBytes(request).toHex(), goldenBytes(golden).toHex());
  });
}

/**
 * What Linux 6.18 answers to a dump after `conntrack -I -p tcp -s 10.244.9.2 -d 10.96.0.10
 * --sport 40000 --dport 8080 --dst-nat 10.244.9.3:80 --state ESTABLISHED -u ASSURED,SEEN_REPLY
 * -t 432000`.
 */
const TRANSLATED = `
  02 00 0000                   # AF_INET
  3400 0180                    # CTA_TUPLE_ORIG
    1400 0180 0800 0100 0af40902 0800 0200 0a60000a  # 10.244.9.2 to 10.96.0.10
    1c00 0280 0500 0100 06000000 0600 0200 9c400000 0600 0300 1f900000  # TCP, 40000 to 8080
  3400 0280                    # CTA_TUPLE_REPLY
    1400 0180 0800 0100 0af40903 0800 0200 0af40902  # 10.244.9.3 to 10.244.9.2
    1c00 0280 0500 0100 06000000 0600 0200 00500000 0600 0300 9c400000  # TCP, 80 to 40000
  0800 0300 000001ae           # CTA_STATUS: SEEN_REPLY ASSURED CONFIRMED DST_NAT and both NAT_DONE
  0800 0800 00000000           # CTA_MARK
  0800 0c00 5b36a39f           # CTA_ID
  0800 0b00 00000001           # CTA_USE
  0800 0700 0006977f           # CTA_TIMEOUT 431999
  3000 0480                    # CTA_PROTOINFO
    2c00 0180                  #   CTA_PROTOINFO_TCP
      0500 0100 03000000       #     state ESTABLISHED
      0500 0200 00000000 0500 0300 00000000  # window scales
      0600 0400 0a000000 0600 0500 0a000000  # flags
  1c00 1880                    # CTA_SYNPROXY, which we do not know
    0800 0100 00000000 0800 0200 00000000 0800 0300 00000000
`;

function message(golden: string): Parameters<typeof parseFlow>[0] {
  return { type: 0x0100, flags: 0, sequence: 1, portId: 1, payload: goldenBytes(golden) };
}

Deno.test("parseFlow() reads a translated flow", () => {
  assertEquals(parseFlow(message(TRANSLATED)), {
    family: 4,
    original: tuple("10.244.9.2", "10.96.0.10", { ports: { source: 40000, destination: 8080 } }),
    reply: tuple("10.244.9.3", "10.244.9.2", { ports: { source: 80, destination: 40000 } }),
    zone: 0,
    id: 0x5b36a39f,
    status: 0x1ae,
    timeoutSeconds: 431_999,
    mark: 0,
    tcpState: 3,
    master: undefined,
  });
});

Deno.test("parseFlow() gives nothing for a message without tuples", () => {
  assertEquals(parseFlow(message("02 00 0000 0800 0300 0000000e")), undefined);
});

Deno.test("parseTableSize() reads how full the table is", () => {
  const payload = goldenBytes("00 00 0000 0800 0100 00000005 0800 0200 00040000");
  assertEquals(parseTableSize({ type: 0x0105, flags: 0, sequence: 1, portId: 1, payload }), {
    flows: 5,
    flowsMax: 0x40000,
  });
});

Deno.test("formatTuple() says who sends to whom", () => {
  const texts = [TCP, UDP6, PING].map((it) => formatTuple(it.original));
  assertEquals(texts, [
    "10.0.0.1:40000>10.0.0.2:80/6",
    "[fd00::1]:40000>[fd00::2]:53/17",
    "10.0.0.1>10.0.0.2/1 type 8 code 0 id 7",
  ]);
});

const port = fc.integer({ min: 0, max: 0xffff });
const byte = fc.integer({ min: 0, max: 0xff });
const key = fc.oneof(
  fc.record({
    protocol: fc.constantFrom(IPPROTO.tcp, IPPROTO.udp, IPPROTO.sctp, 33, 47, 136),
    ports: fc.record({ source: port, destination: port }),
    icmp: fc.constant(undefined),
  }),
  fc.record({
    protocol: fc.constantFrom(IPPROTO.icmp, IPPROTO.icmpv6),
    ports: fc.constant(undefined),
    icmp: fc.record({ id: port, type: byte, code: byte }),
  }),
  fc.record({
    protocol: fc.constantFrom(0, 4, 50, 255),
    ports: fc.constant(undefined),
    icmp: fc.constant(undefined),
  }),
);
const ends = fc.oneof(
  fc.tuple(fc.bigInt(0n, (1n << 32n) - 1n), fc.bigInt(0n, (1n << 32n) - 1n))
    .map((values) => values.map((it) => Address.of(4, it))),
  fc.tuple(fc.bigInt(0n, (1n << 128n) - 1n), fc.bigInt(0n, (1n << 128n) - 1n))
    .map((values) => values.map((it) => Address.of(6, it))),
);
const anyTuple: fc.Arbitrary<Tuple> = fc.tuple(ends, key, fc.option(port, { nil: undefined }))
  .map(([[source = Address.of(4, 0n), destination = source], rest, zone]) => ({
    source,
    destination,
    ...rest,
    zone,
  }));

Deno.test("decodeTuple() reads back what encodeTuple() wrote", () => {
  fc.assert(fc.property(anyTuple, (it) => assertEquals(decodeTuple(encodeTuple(it)), it)));
});

Deno.test("parseFlow() reads back a flow that a request carries", () => {
  fc.assert(fc.property(anyTuple, fc.nat(0xffff), fc.nat(0x7fffffff), (original, zone, status) => {
    const update = updateFlow({ original, zone, id: 0 }, { status, timeoutSeconds: 9 });
    const payload = requestBytes(update).slice(NLMSG_HDRLEN);
    // The reply tuple is the kernel's to say: here the same, under its own number.
    const tupleBytes = payload.slice(4, 4 + ((payload[4] ?? 0) | ((payload[5] ?? 0) << 8)));
    tupleBytes[2] = 2;
    const parsed = parseFlow({
      type: 0x0100,
      flags: 0,
      sequence: 0,
      portId: 0,
      payload: Uint8Array.of(...payload, ...tupleBytes),
    });
    assertEquals([parsed?.original, parsed?.reply], [original, original]);
    assertEquals([parsed?.zone, parsed?.status, parsed?.timeoutSeconds], [zone, status, 9]);
    assertEquals(parsed?.family, original.source.family);
  }));
});
