/** Packets that no ordinary socket sends: pings, TCP that nobody means, what is for another's loopback. */

import type { Bytes } from "../../lib/base/bytes.ts";
import { Address } from "../../lib/ip/address.ts";
import type { Descriptor } from "../../lib/kernel/descriptor.ts";
import { check } from "../../lib/kernel/errno.ts";
import { withNamespace } from "../../lib/kernel/namespace.ts";
import { libc } from "../../lib/kernel/symbols.ts";
import { patient } from "./patience.ts";
import { poll, type ProbeResult, socketAddress } from "./probe.ts";

const DOMAINS = { 4: 2, 6: 10 } as const;
/** SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC */
const RAW = 3 | 0x80800;
/** SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC */
const DATAGRAM = 2 | 0x80800;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const IPPROTO_TCP = 6;
const IPPROTO_ICMP = { 4: 1, 6: 58 } as const;
const ECHO_REQUEST = { 4: 8, 6: 128 } as const;
const ECHO_REPLY = { 4: 0, 6: 129 } as const;
const POLLIN = 1;
const PACKET_BYTES = 1500;
/** Of an IPv4 header without options, which raw sockets of that family receive first. */
const HEADER_BYTES = { 4: 20, 6: 0 } as const;

let identifier = 0;

/** Whether `address` answers one ping out of `namespace`. */
export async function ping(
  namespace: Descriptor,
  address: Address,
  timeoutMs: number,
): Promise<ProbeResult> {
  const { family } = address;
  const fd = openRaw(namespace, address, IPPROTO_ICMP[family]);
  try {
    const id = ++identifier;
    send(fd, echo(ECHO_REQUEST[family], id), address);
    const endMs = performance.now() + patient(timeoutMs);
    for (;;) {
      const restMs = Math.ceil(endMs - performance.now());
      if (restMs <= 0) return "timeout";
      await poll([fd], [POLLIN], restMs);
      const packet = receive(fd)?.subarray(HEADER_BYTES[family]);
      if (packet === undefined) continue;
      const isReply = packet[0] === ECHO_REPLY[family];
      if (isReply && packet[4] === id >> 8 && packet[5] === (id & 0xff)) return "open";
    }
  } finally {
    libc().close(fd);
  }
}

/** Sends a TCP segment that opens and closes at once, which belongs to no flow that could be. */
export function sendInvalidTcp(namespace: Descriptor, address: Address, port: number): void {
  const fd = openRaw(namespace, address, IPPROTO_TCP);
  try {
    const segment: Bytes = new Uint8Array(20);
    segment.set([0x9c, 0x40, port >> 8, port & 0xff]);
    segment[12] = 5 << 4; // words of the header
    segment[13] = 0x03; // FIN, SYN
    send(fd, segment, address);
  } finally {
    libc().close(fd);
  }
}

/** Sends a UDP datagram to 127.0.0.1 out of the pod's interface, as its own loopback would not. */
export function sendToLoopback(namespace: Descriptor, port: number, payload: Bytes): void {
  const address = Address.parse("127.0.0.1");
  const fd = withNamespace(
    namespace,
    () => check("open socket", libc().socket(DOMAINS[4], DATAGRAM, 0)),
  );
  try {
    const device = new TextEncoder().encode("eth0\0");
    check(
      "bind to device",
      libc().setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, device.length),
    );
    const name = socketAddress(address, port);
    check("send", Number(libc().sendto(fd, payload, BigInt(payload.length), 0, name, name.length)));
  } finally {
    libc().close(fd);
  }
}

function openRaw(namespace: Descriptor, { family }: Address, protocol: number): number {
  return withNamespace(
    namespace,
    () => check("open socket", libc().socket(DOMAINS[family], RAW, protocol)),
  );
}

function send(fd: number, packet: Bytes, address: Address): void {
  const name = socketAddress(address, 0);
  check("send", Number(libc().sendto(fd, packet, BigInt(packet.length), 0, name, name.length)));
}

function receive(fd: number): Uint8Array | undefined {
  const packet: Bytes = new Uint8Array(PACKET_BYTES);
  const name: Bytes = new Uint8Array(28);
  const length: Bytes = Uint8Array.of(28, 0, 0, 0);
  const size = libc().recvfrom(fd, packet, BigInt(packet.length), 0, name, length);
  return size < 0 ? undefined : packet.subarray(0, Number(size));
}

/** `struct icmphdr`; of ICMPv6 the kernel fills in the checksum itself. */
function echo(type: number, id: number): Bytes {
  const packet: Bytes = Uint8Array.of(type, 0, 0, 0, id >> 8, id & 0xff, 0, 1);
  const sum = (type << 8) + id + 1;
  const checksum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  packet[2] = checksum >> 8;
  packet[3] = checksum & 0xff;
  return packet;
}
