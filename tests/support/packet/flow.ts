/**
 * Flows that live on: a client in a pod that keeps sending numbers on one socket and counts what comes
 * back, so that a test sees when a flow ends and whether one that should not end lost anything.
 */

import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../../../lib/base/bytes.ts";
import { Address } from "../../../lib/ip/address.ts";
import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { check } from "../../../lib/kernel/errno.ts";
import { withNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { acceptAll } from "./accept.ts";
import { poll, socketAddress, socketError } from "./probe.ts";
import { PATIENCE_MS, sleep } from "../until.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const POLLOUT = 4;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
/** Bytes of one message. */
const MESSAGE_BYTES = 4;
/** What has not come back by then does not come any more. */
const FINISH_MS_MAX = 30_000;

/** Who sends to whom. */
export interface FlowOptions {
  readonly name: string;
  readonly namespace: Descriptor;
  readonly protocol: "TCP" | "UDP";
  readonly address: string;
  readonly port: number;
  readonly localPort?: number;
  /** @default {10} */
  readonly intervalMs?: number;
}

/**
 * A server that, once it has been called, keeps sending by itself, whether or not anybody answers: on a
 * TCP connection, and to the source of the first datagram.
 */
export class PushServer implements Disposable {
  /** Bytes and datagrams that came. */
  received = 0;
  readonly #listener: Deno.TcpListener;
  readonly #datagrams: number;
  readonly #timers: number[] = [];
  readonly #connections: Deno.Conn[] = [];
  #peer: Bytes | undefined;
  /** Why it takes no more connections; said when it is disposed of. */
  #failure: unknown;

  /** Listens on both ports of every address of `namespace`. */
  constructor(namespace: Descriptor, tcpPort: number, udpPort: number) {
    this.#listener = withNamespace(
      namespace,
      () => Deno.listen({ hostname: "::", port: tcpPort }),
    );
    this.#datagrams = withNamespace(namespace, () => {
      const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      const fd = check("open socket", libc().socket(AF_INET6, type, 0));
      const name = socketAddress(Address.parse("::"), udpPort);
      check("bind socket", libc().bind(fd, name, name.length));
      return fd;
    });
    this.#timers.push(setInterval(() => this.#push(), 10));
    acceptAll(this.#listener, (it) => this.#serve(it)).catch((error) => this.#failure = error);
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#listener.close();
    for (const connection of this.#connections) connection.close();
    libc().close(this.#datagrams);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #serve(connection: Deno.Conn): void {
    this.#connections.push(connection);
    const push = (): unknown => connection.write(new Uint8Array(MESSAGE_BYTES)).catch(() => {});
    this.#timers.push(setInterval(push, 10));
    this.#read(connection);
  }

  async #read(connection: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(1 << 16);
    try {
      for (;;) {
        const size = await connection.read(buffer);
        if (size === null) return;
        this.received += size;
      }
    } catch {
      // Closed.
    }
  }

  #push(): void {
    const buffer: Bytes = new Uint8Array(2048);
    const from: Bytes = new Uint8Array(28);
    const length: Bytes = new Uint8Array(4);
    const [fd, size] = [this.#datagrams, BigInt(buffer.length)];
    for (;;) {
      new DataView(length.buffer).setUint32(0, from.length, HOST_IS_LITTLE_ENDIAN);
      if (libc().recvfrom(fd, buffer, size, MSG_DONTWAIT, from, length) < 0) break;
      this.received++;
      this.#peer = from.slice();
    }
    const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const peer = this.#peer;
    if (peer) libc().sendto(fd, buffer, BigInt(MESSAGE_BYTES), flags, peer, peer.length);
  }
}

/** A flow that sends until it is disposed of. */
export class TestFlow implements Disposable {
  readonly name: string;
  /** Messages sent so far. */
  sent = 0;
  /** Messages' worth of bytes that came back. */
  received = 0;
  /** When the last one came, by performance.now(), and how many had been sent then. */
  receivedAtMs = 0;
  sentAtReceipt = 0;
  readonly #fd: number;
  readonly #buffer: Bytes = new Uint8Array(1 << 16);
  #bytes = 0;
  #timer: number | undefined;

  private constructor(name: string, fd: number, intervalMs: number) {
    this.name = name;
    this.#fd = fd;
    this.#timer = setInterval(() => this.#step(), intervalMs);
  }

  /**
   * Connects and begins to send.
   *
   * @throws {Error} if a TCP connection does not come about
   */
  static async open(options: FlowOptions): Promise<TestFlow> {
    const { name, namespace, protocol, port, localPort, intervalMs = 10 } = options;
    const address = Address.parse(options.address);
    const family = address.family === 4 ? AF_INET : AF_INET6;
    const type = (protocol === "TCP" ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const fd = withNamespace(
      namespace,
      () => check("open socket", libc().socket(family, type, 0)),
    );
    if (localPort !== undefined) {
      const any = socketAddress(Address.parse(address.family === 4 ? "0.0.0.0" : "::"), localPort);
      check("bind socket", libc().bind(fd, any, any.length));
    }
    const peer = socketAddress(address, port);
    libc().connect(fd, peer, peer.length);
    const [ready] = protocol === "TCP" ? await poll([fd], [POLLOUT], PATIENCE_MS) : [0];
    if (ready === undefined || socketError(fd) !== 0) {
      libc().close(fd);
      throw new Error(`Flow ${name} did not come about`);
    }
    return new TestFlow(name, fd, intervalMs);
  }

  /** Messages that did not come back (yet). */
  get missing(): number {
    return this.sent - this.received;
  }

  /** Sends nothing more, and waits for what is under way, `waitMs` at most. */
  async finish(waitMs = FINISH_MS_MAX): Promise<void> {
    const endMs = performance.now() + waitMs;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#receive(), 5);
    while (this.missing > 0 && performance.now() < endMs) await sleep(5);
    clearInterval(this.#timer);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    libc().close(this.#fd);
  }

  #step(): void {
    this.#receive();
    const message: Bytes = new Uint8Array(MESSAGE_BYTES);
    new DataView(message.buffer).setUint32(0, this.sent);
    const size = libc().send(this.#fd, message, BigInt(MESSAGE_BYTES), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size === MESSAGE_BYTES) this.sent++;
  }

  #receive(): void {
    for (;;) {
      const buffer = this.#buffer;
      const size = libc().recv(this.#fd, buffer, BigInt(buffer.length), MSG_DONTWAIT);
      if (size <= 0) return;
      this.#bytes += size;
      this.received = Math.floor(this.#bytes / MESSAGE_BYTES);
      this.receivedAtMs = performance.now();
      this.sentAtReceipt = this.sent;
    }
  }
}
