/** Packets that no ordinary socket sends: pings, TCP segments of no connection, packets for another host's loopback. */

import type { Bytes } from "../../../lib/base/bytes.ts";
import { Address } from "../../../lib/ip/address.ts";
import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { withNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { AnswerTime } from "./answer_time.ts";
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
const IPPROTO_UDP = 17;
/** The header is ours. */
const IPPROTO_RAW = 255;
/** Type and code: ICMP_DEST_UNREACH, ICMP_PORT_UNREACH; ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH. */
const PORT_UNREACHABLE = { 4: [3, 3], 6: [1, 4] } as const;
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
    const time = new AnswerTime(timeoutMs);
    for (;;) {
      const restMs = time.next();
      if (restMs === undefined) return "timeout";
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

/**
 * Sends the ICMP error "port unreachable" to `to`, quoting the headers of a UDP datagram from `to` to
 * `quoted`, with `payload` behind them.
 */
export function sendPortUnreachable(
  namespace: Descriptor,
  to: { readonly address: Address; readonly port: number },
  quoted: { readonly address: Address; readonly port: number },
  payload: Bytes,
): void {
  const { family } = to.address;
  const fd = openRaw(namespace, to.address, IPPROTO_ICMP[family]);
  try {
    const udp = Uint8Array.of(
      ...[to.port >> 8, to.port & 0xff, quoted.port >> 8, quoted.port & 0xff],
      ...[0, 8 + payload.length, 0, 0],
    );
    const header = ipHeader(to.address, quoted.address, udp.length + payload.length);
    const [type, code] = PORT_UNREACHABLE[family];
    const packet: Bytes = Uint8Array.of(
      type,
      code,
      0,
      0,
      0,
      0,
      0,
      0,
      ...header,
      ...udp,
      ...payload,
    );
    if (family === 4) setChecksum(packet, 2); // of ICMPv6 the kernel fills it in itself
    send(fd, packet, to.address);
  } finally {
    libc().close(fd);
  }
}

/** Counts the ICMP errors "port unreachable" that come to a namespace with `payload` at their end. */
export class ErrorListener implements Disposable {
  readonly #sockets: readonly { readonly fd: number; readonly family: 4 | 6 }[];
  readonly #payload: string;

  constructor(namespace: Descriptor, payload: Bytes) {
    this.#payload = payload.join();
    this.#sockets = (["0.0.0.0", "::"] as const).map((text) => {
      const address = Address.parse(text);
      return {
        fd: openRaw(namespace, address, IPPROTO_ICMP[address.family]),
        family: address.family,
      };
    });
  }

  /** How many came since the last call, by family. */
  take(): Readonly<Record<4 | 6, number>> {
    const counts = { 4: 0, 6: 0 };
    for (const { fd, family } of this.#sockets) {
      for (let packet = receive(fd); packet !== undefined; packet = receive(fd)) {
        const body = packet.subarray(HEADER_BYTES[family]);
        if (body[0] !== PORT_UNREACHABLE[family][0]) continue;
        if (body.join().endsWith(this.#payload)) counts[family]++;
      }
    }
    return counts;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#sockets) libc().close(fd);
  }
}

/** Sends a UDP datagram whose header says that `from` sent it; IPv4 and IPv6 alike. */
export function sendForged(
  namespace: Descriptor,
  from: Address,
  to: { readonly address: Address; readonly port: number },
  payload: Bytes,
): void {
  const { family } = from;
  const fd = withNamespace(
    namespace,
    () => check("open socket", libc().socket(DOMAINS[family], RAW, IPPROTO_RAW)),
  );
  try {
    const udp = Uint8Array.of(
      ...[0x9c, 0x40, to.port >> 8, to.port & 0xff, 0, 8 + payload.length, 0, 0],
      ...payload,
    );
    if (family === 6) setUdpChecksum(udp, from, to.address);
    const header = ipHeader(from, to.address, udp.length);
    send(fd, Uint8Array.of(...header, ...udp), to.address);
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

/** `struct iphdr`, `struct ipv6hdr`, of UDP. */
function ipHeader(from: Address, to: Address, length: number): Bytes {
  if (from.family === 6) {
    return Uint8Array.of(0x60, 0, 0, 0, 0, length, IPPROTO_UDP, 64, ...from.bytes, ...to.bytes);
  }
  const header: Bytes = Uint8Array.of(
    ...[0x45, 0, 0, 20 + length, 0, 0, 0, 0, 64, IPPROTO_UDP, 0, 0],
    ...[...from.bytes, ...to.bytes],
  );
  setChecksum(header, 10);
  return header;
}

/** The Internet checksum (RFC 1071) of `bytes`, written at `offset`. */
function setChecksum(bytes: Bytes, offset: number): void {
  const checksum = checksumOf(bytes);
  bytes[offset] = checksum >> 8;
  bytes[offset + 1] = checksum & 0xff;
}

/** UDP over IPv6 must have one, over a header made of addresses, length and protocol (RFC 8200, 8.1). */
function setUdpChecksum(udp: Bytes, from: Address, to: Address): void {
  const pseudo = [...from.bytes, ...to.bytes, 0, 0, 0, udp.length, 0, 0, 0, IPPROTO_UDP];
  const checksum = checksumOf(Uint8Array.of(...pseudo, ...udp));
  udp[6] = checksum >> 8;
  udp[7] = checksum & 0xff;
}

function checksumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
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
