/**
 * One request and its answer over a stream socket of the unix domain, in system calls that wait: for a
 * program that has nothing else to do meanwhile and wants to start fast. unix(7), socket(7), poll(2).
 * Not for servers, nor for anything that must go on while it waits: there the runtime's own is right.
 */

import { type Bytes, concatBytes, HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";
import { check, KernelError, lastErrno } from "./errno.ts";
import { libc } from "./symbols.ts";
import { AF_UNIX, encodeUnixAddress } from "./unix_address.ts";

const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_SNDTIMEO = 21;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLIN = 1;
const EINTR = 4;
const EAGAIN = 11;
const ETIMEDOUT = 110;
/** `struct timeval` and `struct pollfd`, 64-bit. */
const TIMEVAL_BYTES = 16;
const POLLFD_BYTES = 8;
const RECEIVE_BYTES = 16 << 10;

/** What bounds an exchange. */
export interface ExchangeBounds {
  /** For all of it, from connecting to the last byte. */
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

/**
 * Sends `request` to the socket at `path` and reads until the other side closes.
 *
 * @returns all that it said
 * @throws {RangeError} if the path is too long for a socket's, or the answer longer than allowed
 * @throws {KernelError} if no process listens (`ENOENT`, `ECONNREFUSED`), if the connection breaks, or
 * `ETIMEDOUT`
 */
export function exchange(
  path: string,
  request: Bytes,
  { timeoutMs, answerBytesMax }: ExchangeBounds,
): Bytes {
  const endMs = performance.now() + timeoutMs;
  const address = encodeUnixAddress(path);
  const fd = check("open unix socket", libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    // connect(2) waits where the listener's queue is full, and heeds this time as send(2) does.
    setSendTimeout(fd, timeoutMs);
    checkSend(`connect to "${path}"`, () => libc().connect(fd, address, address.length));
    for (let sent = 0; sent < request.length;) {
      const rest = request.subarray(sent);
      sent += checkSend(
        `send to "${path}"`,
        () => libc().send(fd, rest, BigInt(rest.length), MSG_NOSIGNAL),
      );
    }
    return receiveAll(fd, `receive from "${path}"`, endMs, answerBytesMax);
  } finally {
    libc().close(fd);
  }
}

function setSendTimeout(fd: number, timeoutMs: number): void {
  const value: Bytes = new Uint8Array(TIMEVAL_BYTES);
  const view = new DataView(value.buffer);
  const micros = Math.max(1, Math.round(timeoutMs * 1000)); // 0 would be for ever
  view.setBigInt64(0, BigInt(Math.floor(micros / 1e6)), HOST_IS_LITTLE_ENDIAN);
  view.setBigInt64(8, BigInt(micros % 1e6), HOST_IS_LITTLE_ENDIAN);
  check("set SO_SNDTIMEO", libc().setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, value, value.length));
}

/** Calls again what a signal interrupted. */
function checkSend(operation: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = lastErrno();
    if (errno === EINTR) continue;
    throw new KernelError(operation, errno === EAGAIN ? ETIMEDOUT : errno);
  }
}

function receiveAll(fd: number, operation: string, endMs: number, bytesMax: number): Bytes {
  const chunks: Bytes[] = [];
  let size = 0;
  for (;;) {
    awaitInput(fd, operation, endMs);
    const buffer: Bytes = new Uint8Array(RECEIVE_BYTES);
    const length = libc().recv(fd, buffer, BigInt(buffer.length), MSG_DONTWAIT);
    if (length < 0) {
      const errno = lastErrno();
      if (errno === EINTR || errno === EAGAIN) continue;
      throw new KernelError(operation, errno);
    }
    if (length === 0) return concatBytes(chunks);
    size += length;
    if (size > bytesMax) throw new RangeError(`Answer is longer than ${bytesMax} bytes`);
    chunks.push(buffer.subarray(0, length));
  }
}

function awaitInput(fd: number, operation: string, endMs: number): void {
  const poll: Bytes = new Uint8Array(POLLFD_BYTES);
  const view = new DataView(poll.buffer);
  view.setInt32(0, fd, HOST_IS_LITTLE_ENDIAN);
  view.setInt16(4, POLLIN, HOST_IS_LITTLE_ENDIAN);
  for (;;) {
    const restMs = Math.ceil(endMs - performance.now());
    if (restMs <= 0) throw new KernelError(operation, ETIMEDOUT);
    const ready = libc().poll(poll, 1n, restMs);
    if (ready > 0) return;
    if (ready < 0 && lastErrno() !== EINTR) throw new KernelError(operation, lastErrno());
  }
}
