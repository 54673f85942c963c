/** Two pods on this node, wired as the plugin does it, and datagrams from one to the other. */

import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../../lib/base/bytes.ts";
import { Address } from "../../lib/ip/address.ts";
import { check } from "../../lib/kernel/errno.ts";
import { withNamespace } from "../../lib/kernel/namespace.ts";
import { libc } from "../../lib/kernel/symbols.ts";
import { TestContainer } from "../support/plugin/container.ts";
import { wireUp } from "../support/plugin/wire_up.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const PAYLOAD_BYTES = 64;

/** A pod with one IPv4 address. */
export interface PathEnd {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
}

/** The two pods, until disposed of. */
export class ForwardPath implements Disposable {
  readonly #ends: readonly TestContainer[];
  readonly #server: PathEnd;

  constructor(client: PathEnd, server: PathEnd) {
    this.#server = server;
    this.#ends = [client, server].map(makeEnd);
  }

  /** Opens a flow of UDP to `port`; `answered`: conntrack has seen an answer, and judges no more. */
  open(port: number, answered: boolean): Flow {
    const [client, server] = this.#ends;
    if (client === undefined || server === undefined) throw new TypeError("There are two ends");
    const name = socketAddress(this.#server.address, port);
    const listener = withNamespace(server.namespace, openSocket);
    check("bind socket", libc().bind(listener, name, name.length));
    const sender = withNamespace(client.namespace, openSocket);
    check("connect socket", libc().connect(sender, name, name.length));
    return new Flow(sender, listener, answered);
  }

  [Symbol.dispose](): void {
    for (const end of this.#ends) end[Symbol.dispose]();
  }
}

/** Datagrams in one direction: the kernel forwards each within send(2), to the listener's queue. */
export class Flow implements Disposable {
  readonly #sender: number;
  readonly #listener: number;
  readonly #payload: Bytes = new Uint8Array(PAYLOAD_BYTES);

  constructor(sender: number, listener: number, answered: boolean) {
    this.#sender = sender;
    this.#listener = listener;
    this.send(1);
    const from = receive(listener);
    if (from === undefined) throw new Error("The first datagram did not arrive");
    if (!answered) return;
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    check("answer", libc().sendto(listener, this.#payload, 1n, flags, from, from.length));
    if (receive(sender) === undefined) throw new Error("The answer did not arrive");
  }

  /** Sends datagrams; those for which the queue has no room vanish at its end of the path. */
  send(count: number): void {
    const { send } = libc();
    const size = BigInt(PAYLOAD_BYTES);
    for (let sent = 0; sent < count; sent++) {
      send(this.#sender, this.#payload, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
  }

  /** Microseconds a datagram, over about `durationMs`. */
  measureUs(durationMs: number): number {
    const CHUNK = 200;
    const startMs = performance.now();
    for (let count = CHUNK;; count += CHUNK) {
      this.send(CHUNK);
      const passedMs = performance.now() - startMs;
      if (passedMs >= durationMs) return 1000 * passedMs / count;
    }
  }

  /** Whether datagrams still arrive. */
  get isOpen(): boolean {
    while (receive(this.#listener) !== undefined);
    this.send(1);
    return receive(this.#listener) !== undefined;
  }

  [Symbol.dispose](): void {
    libc().close(this.#sender);
    libc().close(this.#listener);
  }
}

function makeEnd({ namespace, name, address }: PathEnd, index: number): TestContainer {
  const container = new TestContainer(`path-${index}`, name, undefined, namespace);
  wireUp(container, {
    hostName: container.hostName,
    linkAddress: `02:00:00:00:00:0${index + 1}`,
    addresses: [Address.parse(address)],
    includeDefaultRoutes: true,
  });
  return container;
}

function openSocket(): number {
  return check("open socket", libc().socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

/** @returns the address of the sender; undefined when nothing is there */
function receive(fd: number): Bytes | undefined {
  const buffer: Bytes = new Uint8Array(PAYLOAD_BYTES);
  const from: Bytes = new Uint8Array(16);
  const length: Bytes = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, from.length, HOST_IS_LITTLE_ENDIAN);
  const size = BigInt(buffer.length);
  return libc().recvfrom(fd, buffer, size, MSG_DONTWAIT, from, length) < 0 ? undefined : from;
}

/** `struct sockaddr_in`. */
function socketAddress(address: string, port: number): Bytes {
  const name: Bytes = new Uint8Array(16);
  const view = new DataView(name.buffer);
  view.setUint16(0, AF_INET, HOST_IS_LITTLE_ENDIAN);
  view.setUint16(2, port);
  name.set(Address.parse(address).bytes, 4);
  return name;
}
