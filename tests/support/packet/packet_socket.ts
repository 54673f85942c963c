/**
 * Frames that no protocol of the kernel makes: a packet socket on one link of a namespace, and what
 * neighbours say to each other, ARP (RFC 826) and neighbour discovery (RFC 4861), from any address.
 */

import type { Bytes } from "../../../lib/base/bytes.ts";
import { Address } from "../../../lib/ip/address.ts";
import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { withNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";

const AF_PACKET = 17;
/** SOCK_RAW | SOCK_CLOEXEC */
const RAW = 3 | 0x80000;
const ETHERTYPE = { arp: 0x0806, 6: 0x86dd } as const;
const BROADCAST = "ff:ff:ff:ff:ff:ff";
const ICMPV6 = 58;

/** Sends whole frames by a link. */
export class PacketSocket implements Disposable {
  readonly #fd: number;
  readonly #index: number;

  /** @param index of the link, in `namespace` */
  constructor(namespace: Descriptor, index: number) {
    this.#fd = withNamespace(
      namespace,
      () => check("open packet socket", libc().socket(AF_PACKET, RAW, 0)),
    );
    this.#index = index;
  }

  send(frame: Bytes): void {
    const name: Bytes = new Uint8Array(20); // struct sockaddr_ll, <linux/if_packet.h>
    const view = new DataView(name.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setInt32(4, this.#index, true);
    const length = libc().sendto(this.#fd, frame, BigInt(frame.length), 0, name, name.length);
    check("send frame", Number(length));
  }

  [Symbol.dispose](): void {
    libc().close(this.#fd);
  }
}

/** An ARP packet: the host at `sender` asks for `target`, or, if they are the same, announces its address. */
export function arp(
  { operation, from, sender, target }: {
    readonly operation: "request" | "reply";
    /** Link address. */
    readonly from: string;
    readonly sender: Address;
    readonly target: Address;
  },
): Bytes {
  const head = [0, 1, 8, 0, 6, 4, 0, operation === "request" ? 1 : 2];
  const body = [...head, ...mac(from), ...sender.bytes, 0, 0, 0, 0, 0, 0, ...target.bytes];
  return frame(BROADCAST, from, ETHERTYPE.arp, body);
}

/** Types of messages of ICMPv6. */
export const ICMPV6_TYPES = {
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
} as const;

/** A message of ICMPv6 that brings its sender's link address, in a frame for `to`. */
export function icmpv6(
  { type, from, to, source, destination, target }: {
    readonly type: keyof typeof ICMPV6_TYPES;
    /** Link addresses. */
    readonly from: string;
    readonly to: string;
    readonly source: Address;
    readonly destination: Address;
    /** What a solicitation asks for, and an advertisement is about. */
    readonly target: Address;
  },
): Bytes {
  const message = [ICMPV6_TYPES[type], 0, 0, 0, ...bodyOf(type, from, target)];
  const pseudo = [...source.bytes, ...destination.bytes, 0, 0, 0, message.length, 0, 0, 0, ICMPV6];
  const sum = checksum([...pseudo, ...message]);
  message[2] = sum >> 8;
  message[3] = sum & 0xff;
  const header = [0x60, 0, 0, 0, 0, message.length, ICMPV6, 255];
  const packet = [...header, ...source.bytes, ...destination.bytes, ...message];
  return frame(to, from, ETHERTYPE[6], packet);
}

function bodyOf(type: keyof typeof ICMPV6_TYPES, from: string, target: Address): number[] {
  switch (type) {
    case "neighbourSolicitation":
      return [0, 0, 0, 0, ...target.bytes, 1, 1, ...mac(from)];
    case "neighbourAdvertisement": // solicited, override
      return [0x60, 0, 0, 0, ...target.bytes, 2, 1, ...mac(from)];
  }
}

/** The multicast address at which a node listens for questions after `address`: RFC 4291, 2.7.1. */
export function solicitedNodeOf(address: Address): Address {
  const [a = 0, b = 0, c = 0] = address.bytes.subarray(13);
  return Address.fromBytes(Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c));
}

function frame(to: string, from: string, type: number, payload: readonly number[]): Bytes {
  return Uint8Array.from([...mac(to), ...mac(from), type >> 8, type & 0xff, ...payload]);
}

function mac(text: string): number[] {
  return text.split(":").map((it) => parseInt(it, 16));
}

/** RFC 1071, of an even number of bytes. */
function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
