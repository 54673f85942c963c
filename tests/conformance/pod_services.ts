/**
 * What a pod of a packet run serves: TCP ports that accept and hang up, UDP ports that answer, SCTP
 * ports that answer an INIT. The sockets are opened inside the pod's namespace and used from outside
 * it. The runtime accepts TCP connections; for the others the caller polls `descriptors` and calls
 * `serve()` when one is ready.
 */

import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../../lib/base/bytes.ts";
import { Address, FAMILIES, type Family } from "../../lib/ip/address.ts";
import type { Descriptor } from "../../lib/kernel/descriptor.ts";
import { check } from "../../lib/kernel/errno.ts";
import { withNamespace } from "../../lib/kernel/namespace.ts";
import { libc } from "../../lib/kernel/symbols.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { acceptAll } from "../support/packet/accept.ts";
import { socketAddress } from "../support/packet/probe.ts";
import { decodeSctp, encodeSctp, SCTP_PROTOCOL, type SctpPacket } from "./sctp_packet.ts";

/** <linux/in.h>, <bits/socket.h>. */
export const DOMAINS: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
/** SOCK_NONBLOCK | SOCK_CLOEXEC */
export const SOCK_FLAGS = 0x80800;
export const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;

const ANY = Address.parse("::");
/** `struct sockaddr_in6`, the larger of the two. */
const NAME_BYTES = 28;
const DATAGRAM_BYTES = 2048;

/** A datagram and where it came from. */
interface Datagram {
  readonly payload: Uint8Array;
  /** `struct sockaddr`, as the kernel wrote it. */
  readonly name: Bytes;
}

/** The sockets of one pod, open until it is disposed of. */
export class PodServices implements Disposable {
  readonly namespace: Descriptor;
  readonly #listeners: Deno.TcpListener[] = [];
  readonly #datagrams: number[] = [];
  readonly #sctpPorts = new Set<number>();
  readonly #sctp = new Map<Family, number>();
  /** Why a port takes no more connections; said when the pod is disposed of. */
  #failure: unknown;
  readonly #accepting: readonly Promise<void>[];

  /** Opens a socket for every service. */
  constructor(
    namespace: Descriptor,
    services: readonly { readonly protocol: Protocol; readonly port: number }[],
  ) {
    this.namespace = namespace;
    withNamespace(namespace, () => {
      for (const family of FAMILIES) {
        const type = SOCK_RAW | SOCK_FLAGS;
        const fd = check("open socket", libc().socket(DOMAINS[family], type, SCTP_PROTOCOL));
        this.#sctp.set(family, fd);
      }
      for (const { protocol, port } of services) {
        if (protocol === "SCTP") this.#sctpPorts.add(port);
        else if (protocol === "UDP") this.#datagrams.push(bindDatagrams(port));
        else this.#listeners.push(Deno.listen({ hostname: "::", port }));
      }
    });
    this.#accepting = this.#listeners.map((it) =>
      acceptAll(it, (connection) => connection.close()).catch((error) => {
        this.#failure = error;
      })
    );
  }

  /** Ends once the services are disposed of and their ports are free again. */
  get closed(): Promise<unknown> {
    return Promise.all(this.#accepting);
  }

  /** Those that must be served when there is something to read. */
  get descriptors(): readonly number[] {
    return [...this.#datagrams, ...this.#sctp.values()];
  }

  /** Answers all that has come; INIT ACKs go to `onAck`. */
  serve(onAck: (packet: SctpPacket) => void): void {
    for (const fd of this.#datagrams) {
      for (let it = receive(fd); it !== undefined; it = receive(fd)) send(fd, it.payload, it.name);
    }
    for (const [family, fd] of this.#sctp) {
      for (let it = receive(fd); it !== undefined; it = receive(fd)) {
        const packet = decodeSctp(family === 4 ? withoutHeader(it.payload) : it.payload);
        if (packet?.kind === "INIT ACK") onAck(packet);
        else if (packet !== undefined && this.#sctpPorts.has(packet.destinationPort)) {
          send(fd, encodeSctp(ackOf(packet)), rawName(family, it.name));
        }
      }
    }
  }

  /** Sends an INIT or INIT ACK to `address`. */
  sendSctp(packet: SctpPacket, address: Address): void {
    const fd = this.#sctp.get(address.family) ?? -1;
    send(fd, encodeSctp(packet), socketAddress(address, 0));
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners) listener.close();
    for (const fd of this.descriptors) libc().close(fd);
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function bindDatagrams(port: number): number {
  const fd = check("open socket", libc().socket(DOMAINS[6], SOCK_DGRAM | SOCK_FLAGS, 0));
  const name = socketAddress(ANY, port);
  check("bind socket", libc().bind(fd, name, name.length));
  return fd;
}

function receive(fd: number): Datagram | undefined {
  const payload: Bytes = new Uint8Array(DATAGRAM_BYTES);
  const name: Bytes = new Uint8Array(NAME_BYTES);
  const length: Bytes = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, name.length, HOST_IS_LITTLE_ENDIAN);
  const size = libc().recvfrom(fd, payload, BigInt(payload.length), MSG_DONTWAIT, name, length);
  return size < 0 ? undefined : { payload: payload.subarray(0, size), name };
}

function send(fd: number, payload: Uint8Array, name: Bytes): void {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  libc().sendto(fd, payload.slice(), BigInt(payload.length), flags, name, name.length);
}

/** What a raw IPv4 socket receives begins with the IP header, whose length is in its first byte. */
function withoutHeader(packet: Uint8Array): Uint8Array {
  return packet.subarray(4 * ((packet[0] ?? 0) & 0xf));
}

/** Where an answer goes: raw sockets have no ports. */
function rawName(family: Family, name: Bytes): Bytes {
  const bytes = family === 4 ? name.subarray(4, 8) : name.subarray(8, 24);
  return socketAddress(Address.fromBytes(bytes), 0);
}

function ackOf(packet: SctpPacket): SctpPacket {
  return {
    kind: "INIT ACK",
    sourcePort: packet.destinationPort,
    destinationPort: packet.sourcePort,
    verificationTag: packet.initiateTag,
    initiateTag: packet.initiateTag,
  };
}
