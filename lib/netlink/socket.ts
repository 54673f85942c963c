/**
 * The netlink socket: sends requests, matches replies, and handles once, with a bound, what every
 * caller would forget: interrupted dumps, overruns, truncation. A socket stays bound to the network
 * namespace in which it was opened, so what runs in another namespace is ordinary calls on its socket.
 *
 * The kernel works inside send(): when it returns, every reply is queued. Nothing here waits.
 */

import { assert } from "../base/assert.ts";
import type { Bytes } from "../base/bytes.ts";
import { check, errnoName, KernelError, lastErrno } from "../kernel/errno.ts";
import { withFilter } from "../kernel/socket_filter.ts";
import { libc, type Symbols } from "../kernel/symbols.ts";
import { HOST_IS_LITTLE_ENDIAN, viewOf, Writer } from "./buffer.ts";
import {
  decodeAcknowledgement,
  describeRequest,
  NetlinkBatchError,
  NetlinkError,
} from "./error.ts";
import {
  decodeMessages,
  encodeRequest,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  type RawMessage,
  type Request,
} from "./message.ts";
import type { NetlinkSocket } from "./netlink_socket.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const EAGAIN = 11;
const EINTR = 4;
const ENOBUFS = 105;

/** Netlink families, <linux/netlink.h>. */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** Where `struct nlmsghdr` has its `nlmsg_pid`. */
const NLMSG_PID_OFFSET = 12;
/** How often an interrupted dump starts again before the kernel's answer is an error. */
const DUMP_ATTEMPTS_MAX = 8;
/** One recv() of a dump; the kernel fills at most 32 KiB per datagram, batch acks may be larger. */
const RECEIVE_BYTES = 1 << 17;
/**
 * Batches above this are sent on another thread, so that the event loop goes on. It is a hundred messages
 * or so, of which one alone takes the kernel a millisecond in a table of 20,000 sets.
 */
const BATCH_BYTES_SYNC_MAX = 32 << 10;

export type { NetlinkSocket };

/** What a socket calls of the C library; a test gives its own, to fail where it wants. */
export type SocketCalls = Pick<
  Symbols,
  "socket" | "bind" | "setsockopt" | "send" | "sendNonblocking" | "recv" | "close"
>;

/**
 * Opens a netlink socket in the current network namespace.
 *
 * @param protocol NETLINK_ROUTE or NETLINK_NETFILTER
 * @throws {KernelError} if the kernel refuses
 */
export function openNetlinkSocket(
  protocol: number,
  calls: SocketCalls = libc(),
): NetlinkSocket {
  return new KernelNetlinkSocket(protocol, calls);
}

class KernelNetlinkSocket implements NetlinkSocket {
  readonly fd: number;
  readonly #calls: SocketCalls;
  #sequence = 1;
  #closed = false;
  #sendBufferBytes = 0;
  /** Transactions wait for each other. */
  #lastBatch: Promise<void> = Promise.resolve();
  /** Replies to the transaction that another thread is sending, received by others meanwhile. */
  #strays: RawMessage[] | undefined;
  readonly #receiveBuffer: Bytes = new Uint8Array(RECEIVE_BYTES);
  readonly #writer = new Writer(8192);

  constructor(protocol: number, calls: SocketCalls) {
    this.#calls = calls;
    this.fd = check(
      "open netlink socket",
      this.#calls.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol),
    );
    try {
      const address = new Uint8Array(12);
      new DataView(address.buffer).setUint16(0, AF_NETLINK, HOST_IS_LITTLE_ENDIAN);
      check("bind netlink socket", this.#calls.bind(this.fd, address, address.length));
      this.#setOption(SOL_NETLINK, NETLINK_EXT_ACK, 1);
      this.#setOption(SOL_NETLINK, NETLINK_CAP_ACK, 1);
      this.#setOption(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
      this.#growBuffer(SO_RCVBUFFORCE, SO_RCVBUF, 8 << 20);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#calls.close(this.fd);
  }

  join(group: number): void {
    check(
      `join netlink group ${group}`,
      this.#setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group),
    );
  }

  ignore(portId: number): void {
    withFilter(NLMSG_PID_OFFSET, portId, (value) => {
      const result = this.#calls.setsockopt(
        ...[this.fd, SOL_SOCKET, SO_ATTACH_FILTER, value, value.length] as const,
      );
      check(`ignore messages of netlink port ${portId}`, result);
    });
  }

  request(request: Request): readonly RawMessage[] {
    const [result] = this.pipeline([request]);
    assert(result !== undefined, "A request has one result");
    if (result instanceof NetlinkError) throw result;
    return result;
  }

  pipeline(requests: readonly Request[]): readonly (readonly RawMessage[] | NetlinkError)[] {
    if (requests.length === 0) return []; // the kernel refuses to be sent nothing
    const first = this.#sequence;
    this.#writer.reset();
    for (const request of requests) {
      encodeRequest(this.#writer, request, this.#next(), NLM_F_ACK);
    }
    this.#send(this.#writer.bytes);
    const replies: RawMessage[][] = requests.map(() => []);
    const results: (readonly RawMessage[] | NetlinkError)[] = [...replies];
    let pending = requests.length;
    for (const message of this.#replies(() => pending > 0)) {
      const index = message.sequence - first;
      const request = requests[index];
      if (request === undefined) {
        this.#strays?.push(message); // otherwise a late reply to a request that timed out
        continue;
      }
      if (message.type !== NLMSG_ERROR) {
        replies[index]?.push(message);
        continue;
      }
      pending--;
      const error = errorOf(request, message);
      if (error !== undefined) results[index] = error;
    }
    if (pending > 0) throw new NetlinkError(describeRequest(requests[0]), ENOBUFS, "ENOBUFS");
    return results;
  }

  dump(request: Request): readonly RawMessage[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS_MAX; attempt++) {
      const messages = this.#dumpOnce(request);
      if (messages !== undefined) return messages;
    }
    throw new NetlinkError(`dump ${describeRequest(request)}`, EINTR, errnoName(EINTR));
  }

  /** @returns `undefined` when the dump was interrupted or overrun. */
  #dumpOnce(request: Request): readonly RawMessage[] | undefined {
    const messages: RawMessage[] = [];
    const parts = this.dumpParts(request);
    for (let next = parts.next();; next = parts.next()) {
      if (next.done) return next.value ? messages : undefined;
      for (const message of next.value) messages.push(message);
    }
  }

  *dumpParts(request: Request): Generator<readonly RawMessage[], boolean, void> {
    const sequence = this.#next();
    this.#writer.reset();
    encodeRequest(this.#writer, request, sequence, NLM_F_DUMP);
    this.#send(this.#writer.bytes);
    let [isWhole, isDone] = [true, false];
    const receive = (): readonly RawMessage[] => {
      const received = this.#receiveOnce();
      if (received === undefined || received === "overrun") {
        isDone = received === undefined; // the end itself was lost
        isWhole = false;
        return [];
      }
      return received.filter((message) => {
        if (message.sequence !== sequence) this.#strays?.push(message);
        if (message.sequence !== sequence || message.type === NLMSG_NOOP) return false;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) isWhole = false;
        if (message.type !== NLMSG_DONE && message.type !== NLMSG_ERROR) return true;
        isDone = true;
        const error = errorOf(request, message);
        if (error !== undefined) throw error;
        return false;
      });
    };
    try {
      while (!isDone) yield receive();
    } finally {
      while (!isDone) receive();
    }
    return isWhole;
  }

  batch(requests: readonly Request[]): Promise<readonly RawMessage[]> {
    const result = this.#lastBatch.then(() => this.#batchOnce(requests));
    this.#lastBatch = result.then(() => {}, () => {});
    return result;
  }

  async #batchOnce(requests: readonly Request[]): Promise<readonly RawMessage[]> {
    const writer = new Writer(1 << 16);
    const first = this.#sequence;
    requests.forEach((request, index) => {
      // One acknowledgement, of the last message that makes one: batch ends are silent before 6.10.
      const flags = index === requests.length - 2 ? NLM_F_ACK : 0;
      encodeRequest(writer, request, this.#next(), flags);
    });
    this.#reserveSendBuffer(writer.length);
    if (writer.length <= BATCH_BYTES_SYNC_MAX) {
      this.#send(writer.bytes);
      return this.#batchReplies(requests, first, []);
    }
    const strays: RawMessage[] = [];
    this.#strays = strays;
    try {
      const bytes = writer.bytes; // held here until the other thread is done with it
      const sent = await this.#calls.sendNonblocking(this.fd, bytes, BigInt(bytes.length), 0);
      // That thread's errno is lost. What was not sent did nothing, so this one may say why.
      if (sent !== bytes.length) this.#send(bytes);
    } finally {
      this.#strays = undefined;
    }
    return this.#batchReplies(requests, first, strays);
  }

  /** @param strays what other calls received while this transaction was on its way */
  #batchReplies(
    requests: readonly Request[],
    first: number,
    strays: readonly RawMessage[],
  ): readonly RawMessage[] {
    const failures: NetlinkError[] = [];
    const echoes: RawMessage[] = [];
    let acknowledged = false;
    for (const message of [...strays, ...this.#replies(() => true)]) {
      const request = requests[message.sequence - first];
      if (request === undefined) continue;
      if (message.type !== NLMSG_ERROR) {
        echoes.push(message);
        continue;
      }
      const error = errorOf(request, message);
      if (error === undefined) acknowledged = true;
      else failures.push(error);
    }
    if (failures.length > 0) throw new NetlinkBatchError(failures);
    if (!acknowledged && requests.length > 2) {
      throw new NetlinkError("read the acknowledgement of a transaction", ENOBUFS, "ENOBUFS");
    }
    return echoes;
  }

  receive(): { readonly messages: readonly RawMessage[]; readonly overrun: boolean } {
    const messages: RawMessage[] = [];
    let overrun = false;
    for (;;) {
      const received = this.#receiveOnce();
      if (received === undefined) return { messages, overrun };
      if (received === "overrun") overrun = true;
      else messages.push(...received);
    }
  }

  /** Messages until the queue is empty or `more` says that the last one came. */
  *#replies(more: () => boolean): Generator<RawMessage> {
    while (more()) {
      const received = this.#receiveOnce();
      if (received === undefined) return;
      if (received === "overrun") continue; // what was lost is missed by the caller's own count
      for (const message of received) if (message.type !== NLMSG_NOOP) yield message;
    }
  }

  #receiveOnce(): readonly RawMessage[] | "overrun" | undefined {
    const buffer = this.#receiveBuffer;
    const length = this.#calls.recv(
      this.fd,
      buffer,
      BigInt(buffer.length),
      MSG_DONTWAIT | MSG_TRUNC,
    );
    if (length < 0) {
      const errno = lastErrno();
      if (errno === EAGAIN) return undefined;
      if (errno === ENOBUFS || errno === EINTR) return "overrun";
      throw new KernelError("receive netlink messages", errno);
    }
    assert(length <= buffer.length, `Netlink datagram of ${length} bytes does not fit`);
    return decodeMessages(buffer.subarray(0, length));
  }

  #send(bytes: Bytes): void {
    check("send netlink message", this.#calls.send(this.fd, bytes, BigInt(bytes.length), 0));
  }

  #next(): number {
    const sequence = this.#sequence;
    this.#sequence = (this.#sequence + 1) >>> 0;
    return sequence;
  }

  #reserveSendBuffer(length: number): void {
    const wanted = length + (64 << 10);
    if (wanted <= Math.max(this.#sendBufferBytes, 128 << 10)) return;
    this.#growBuffer(SO_SNDBUFFORCE, SO_SNDBUF, wanted);
    this.#sendBufferBytes = wanted;
  }

  /** Past the system's limit where we may (CAP_NET_ADMIN), up to it otherwise. */
  #growBuffer(force: number, plain: number, size: number): void {
    if (this.#setOption(SOL_SOCKET, force, size) < 0) this.#setOption(SOL_SOCKET, plain, size);
  }

  #setOption(level: number, option: number, value: number): number {
    const payload = new Uint8Array(4);
    viewOf(payload).setUint32(0, value, HOST_IS_LITTLE_ENDIAN);
    return this.#calls.setsockopt(this.fd, level, option, payload, payload.length);
  }
}

function errorOf(request: Request, message: RawMessage): NetlinkError | undefined {
  const { errno, text, attributeOffset } = decodeAcknowledgement(message);
  if (errno === 0) return undefined;
  const details = { text, attributeOffset, request };
  return new NetlinkError(describeRequest(request), errno, errnoName(errno), details);
}
