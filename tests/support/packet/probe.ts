/**
 * Real packets between network namespaces, from one process: sockets are opened inside a pod's
 * namespace and used from outside it. A probe says what a client in the pod would see.
 */

import type { Bytes } from "../../../lib/base/bytes.ts";
import { HOST_IS_LITTLE_ENDIAN } from "../../../lib/base/bytes.ts";
import { Address } from "../../../lib/ip/address.ts";
import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { check, errnoName, lastErrno } from "../../../lib/kernel/errno.ts";
import { withNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { acceptAll } from "./accept.ts";
import { AnswerTime } from "./answer_time.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const EINPROGRESS = 115;
const POLLIN = 1;
const POLLOUT = 4;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;

/** Who asks whom. */
export interface Probe {
  /** The namespace to ask from. */
  readonly namespace: Descriptor;
  readonly protocol: "TCP" | "UDP";
  readonly address: Address | string;
  readonly port: number;
}

/**
 * `open`: a connection, or a reply to a datagram. `timeout`: nothing came back. Anything else is the
 * error that came back: ECONNREFUSED, EHOSTUNREACH, …
 */
export type ProbeResult = "open" | "timeout" | string;

/**
 * Runs all probes at once. What has not been answered after `timeoutMs` counts as lost; on a busy
 * machine that takes longer ({@link AnswerTime}). Where an answer must come, ask again until it does
 * (becomes.ts): a packet that is late is not one that is denied.
 */
export async function probeAll(probes: readonly Probe[], timeoutMs = 500): Promise<ProbeResult[]> {
  const results: (ProbeResult | undefined)[] = probes.map(() => undefined);
  const sockets = probes.map((probe, index) => {
    const fd = openSocket(probe);
    const error = connect(fd, probe);
    if (error !== undefined) results[index] = error;
    return fd;
  });
  try {
    const time = new AnswerTime(timeoutMs);
    while (results.includes(undefined)) {
      const restMs = time.next();
      if (restMs === undefined) break;
      const waiting = probes.map((_, index) => index).filter((it) => results[it] === undefined);
      const ready = await poll(
        waiting.map((it) => sockets[it] ?? -1),
        waiting.map((it) => probes[it]?.protocol === "TCP" ? POLLOUT : POLLIN),
        restMs,
      );
      for (const position of ready) {
        const index = waiting[position] ?? 0;
        const error = socketError(sockets[index] ?? -1);
        results[index] = error === 0 ? "open" : errnoName(error);
      }
    }
  } finally {
    for (const fd of sockets) libc().close(fd);
  }
  return results.map((it) => it ?? "timeout");
}

/** Runs one probe. */
export async function probe(one: Probe, timeoutMs?: number): Promise<ProbeResult> {
  const [result = "timeout"] = await probeAll([one], timeoutMs);
  return result;
}

/** Servers of one namespace; UDP ones answer what they get, TCP ones accept and echo. */
export class PodServers implements Disposable {
  readonly #listeners: Deno.TcpListener[] = [];
  readonly #datagrams: number[] = [];
  readonly #connections = new Set<Deno.Conn>();
  #timer: number | undefined;
  /** Why a server has ended before its time; said when the servers are disposed of. */
  #failure: Error | undefined;
  /** Called with the payload of each datagram that arrives, if set. */
  onDatagram: ((payload: Uint8Array) => void) | undefined;

  /** Listens on TCP `port` of every address (both families) of `namespace`. */
  tcp(namespace: Descriptor, port: number): void {
    const listener = withNamespace(namespace, () => Deno.listen({ hostname: "::", port }));
    this.#listeners.push(listener);
    acceptAll(listener, (it) => void this.#echo(it)).catch((error) => this.#fail(error));
  }

  /** Answers UDP on `port` of every address of `namespace`; looks every `intervalMs`. */
  udp(namespace: Descriptor, port: number, intervalMs = 1): void {
    const fd = withNamespace(namespace, () => {
      const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
      const socket = check("open socket", libc().socket(AF_INET6, type, 0));
      const name = socketAddress(Address.parse("::"), port);
      check("bind socket", libc().bind(socket, name, name.length));
      return socket;
    });
    this.#datagrams.push(fd);
    this.#timer ??= setInterval(() => this.#tryAnswer(), intervalMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const listener of this.#listeners) listener.close();
    for (const fd of this.#datagrams) libc().close(fd);
    for (const connection of this.#connections) closeQuietly(connection);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail(cause: unknown): void {
    this.#failure ??= new Error("A server of a test has ended", { cause });
  }

  /** An error in a timer would end the test file, and not the test whose server this is. */
  #tryAnswer(): void {
    try {
      this.#answer();
    } catch (error) {
      clearInterval(this.#timer);
      this.#fail(error);
    }
  }

  async #echo(connection: Deno.Conn): Promise<void> {
    this.#connections.add(connection);
    try {
      await connection.readable.pipeTo(connection.writable);
    } catch {
      // The peer went.
    }
    this.#connections.delete(connection);
    closeQuietly(connection);
  }

  #answer(): void {
    const buffer: Bytes = new Uint8Array(2048);
    const from: Bytes = new Uint8Array(28);
    const length: Bytes = new Uint8Array(4);
    for (const fd of this.#datagrams) {
      for (;;) {
        new DataView(length.buffer).setUint32(0, from.length, HOST_IS_LITTLE_ENDIAN);
        const size = libc().recvfrom(fd, buffer, BigInt(buffer.length), MSG_DONTWAIT, from, length);
        if (size < 0) break;
        this.onDatagram?.(buffer.slice(0, size));
        libc().sendto(fd, buffer, BigInt(size), MSG_DONTWAIT | MSG_NOSIGNAL, from, from.length);
      }
    }
  }
}

/**
 * Sends one datagram from a fresh socket, so that no earlier flow speaks for it; with `localPort` it is
 * of the flow that has that port.
 */
export function sendDatagram(
  target: Omit<Probe, "protocol"> & { readonly localPort?: number },
  payload: Bytes,
): void {
  const fd = openSocket({ ...target, protocol: "UDP" });
  try {
    if (target.localPort !== undefined) bindPort(fd, target.address, target.localPort);
    const name = socketAddress(toAddress(target.address), target.port);
    libc().sendto(
      fd,
      payload,
      BigInt(payload.length),
      MSG_NOSIGNAL | MSG_DONTWAIT,
      name,
      name.length,
    );
  } finally {
    libc().close(fd);
  }
}

function bindPort(fd: number, to: Address | string, port: number): void {
  const any = socketAddress(Address.parse(toAddress(to).family === 4 ? "0.0.0.0" : "::"), port);
  check("bind socket", libc().bind(fd, any, any.length));
}

function openSocket({ namespace, protocol, address }: Probe): number {
  const family = toAddress(address).family === 4 ? AF_INET : AF_INET6;
  const type = (protocol === "TCP" ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  return withNamespace(namespace, () => check("open socket", libc().socket(family, type, 0)));
}

/** @returns the error's name when the kernel answers at once */
function connect(fd: number, { address, port, protocol }: Probe): string | undefined {
  const name = socketAddress(toAddress(address), port);
  if (libc().connect(fd, name, name.length) < 0) {
    const errno = lastErrno();
    if (errno !== EINPROGRESS) return errnoName(errno);
  }
  if (protocol === "UDP") {
    libc().send(fd, new TextEncoder().encode("probe"), 5n, MSG_NOSIGNAL);
  }
  return undefined;
}

/** `struct sockaddr_in`, `struct sockaddr_in6`. */
export function socketAddress(address: Address, port: number): Bytes {
  const name: Bytes = new Uint8Array(address.family === 4 ? 16 : 28);
  const view = new DataView(name.buffer);
  view.setUint16(0, address.family === 4 ? AF_INET : AF_INET6, HOST_IS_LITTLE_ENDIAN);
  view.setUint16(2, port);
  name.set(address.bytes, address.family === 4 ? 4 : 8);
  return name;
}

/** Waits until one of `fds` is ready for its `events`; the positions of all that are. */
export async function poll(
  fds: readonly number[],
  events: readonly number[],
  timeoutMs: number,
): Promise<number[]> {
  const bytes: Bytes = new Uint8Array(Math.max(64, 8 * fds.length));
  const view = new DataView(bytes.buffer);
  fds.forEach((fd, index) => {
    view.setInt32(8 * index, fd, HOST_IS_LITTLE_ENDIAN);
    view.setInt16(8 * index + 4, events[index] ?? 0, HOST_IS_LITTLE_ENDIAN);
  });
  await libc().pollNonblocking(bytes, BigInt(fds.length), timeoutMs);
  return fds.map((_, index) => index)
    .filter((index) => view.getInt16(8 * index + 6, HOST_IS_LITTLE_ENDIAN) !== 0);
}

/** The error that waits on a socket (SO_ERROR), 0 if none does; asking takes it. */
export function socketError(fd: number): number {
  const value: Bytes = new Uint8Array(4);
  const length: Bytes = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, 4, HOST_IS_LITTLE_ENDIAN);
  check("read socket error", libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, value, length));
  return new DataView(value.buffer).getInt32(0, HOST_IS_LITTLE_ENDIAN);
}

function toAddress(address: Address | string): Address {
  return typeof address === "string" ? Address.parse(address) : address;
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Closed already.
  }
}
