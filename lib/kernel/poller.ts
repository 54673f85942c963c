/**
 * Waiting for descriptors to become readable, all of them in one poll(2) on a thread of its own, so
 * that notifications cost nothing while there are none. An eventfd in the same call wakes it when the
 * list of descriptors changes or the poller closes.
 *
 * The poller does not read: its callback reads until the descriptor is empty, on the main thread. Lost
 * notifications (POLLERR on a netlink socket) wake the callback too, and its recv(2) reports ENOBUFS.
 */

import { assert } from "../base/assert.ts";
import { type Bytes, HOST_IS_LITTLE_ENDIAN } from "../base/bytes.ts";
import { Descriptor } from "./descriptor.ts";
import { check } from "./errno.ts";
import { libc } from "./symbols.ts";

/** <sys/eventfd.h>, <poll.h>. */
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const POLLIN = 0x1;
const POLLNVAL = 0x20;
/** `struct pollfd { int fd; short events; short revents; }`. */
const POLLFD_BYTES = 8;
const POLLFD_OFFSET_EVENTS = 4;
const POLLFD_OFFSET_REVENTS = 6;
const EVENTFD_BYTES = 8;
/** Memory of smaller arrays may move while another thread writes into it. */
const BUFFER_BYTES_MIN = 64;
/** How often in a row poll(2) may fail; once is a signal, errno of another thread is not to be had. */
const FAILURES_MAX = 8;

interface Watch {
  readonly fd: number;
  readonly onReadable: () => void;
}

/** Watches descriptors until it is disposed. It keeps the process alive. */
export class Poller implements Disposable {
  /**
   * Resolves when the poller is closed and nothing of it is pending. Rejects with what a callback
   * threw, or when a descriptor was closed that is still watched.
   */
  readonly done: Promise<void>;
  readonly #wake: Descriptor;
  readonly #watches = new Set<Watch>();
  #closed = false;

  /** @throws {KernelError} if the kernel refuses */
  constructor() {
    const flags = EFD_CLOEXEC | EFD_NONBLOCK;
    this.#wake = new Descriptor(check("open eventfd", libc().eventfd(0, flags)));
    this.done = this.#run();
  }

  /**
   * Calls `onReadable` whenever `fd` is readable, again and again until it is read empty. Dispose the
   * watch before closing the descriptor.
   */
  watch(fd: number, onReadable: () => void): Disposable {
    assert(!this.#closed, "The poller is closed");
    const watch: Watch = { fd, onReadable };
    this.#watches.add(watch);
    this.#interrupt();
    return {
      [Symbol.dispose]: () => {
        if (this.#watches.delete(watch)) this.#interrupt();
      },
    };
  }

  /** Stops watching; no callback runs after this. {@link done} says when nothing is pending. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watches.clear();
    this.#interrupt();
  }

  async #run(): Promise<void> {
    using _wake = this.#wake;
    let failures = 0;
    try {
      while (!this.#closed) {
        const watches = [...this.#watches];
        // `buffer` stays referenced here until the call settles: the kernel writes into it.
        const buffer = encodePollList([this.#wake.fd, ...watches.map((it) => it.fd)]);
        const count = await libc().pollNonblocking(buffer, BigInt(watches.length + 1), -1);
        failures = count < 0 ? failures + 1 : 0;
        assert(failures < FAILURES_MAX, "poll(2) fails again and again");
        if (count > 0) this.#dispatch(watches, buffer);
      }
    } finally {
      this.#closed = true;
      this.#watches.clear();
    }
  }

  #dispatch(watches: readonly Watch[], buffer: Bytes): void {
    if (returnedEvents(buffer, 0) !== 0) {
      libc().read(this.#wake.fd, new Uint8Array(EVENTFD_BYTES), BigInt(EVENTFD_BYTES));
    }
    watches.forEach((watch, index) => {
      const events = returnedEvents(buffer, index + 1);
      if (events === 0 || !this.#watches.has(watch)) return;
      assert((events & POLLNVAL) === 0, `Descriptor ${watch.fd} was closed while it was watched`);
      watch.onReadable();
    });
  }

  /** Makes a pending poll(2) return, or the next one. */
  #interrupt(): void {
    const one = new Uint8Array(EVENTFD_BYTES);
    new DataView(one.buffer).setBigUint64(0, 1n, HOST_IS_LITTLE_ENDIAN);
    libc().write(this.#wake.fd, one, BigInt(EVENTFD_BYTES));
  }
}

function encodePollList(fds: readonly number[]): Bytes {
  const buffer = new Uint8Array(Math.max(BUFFER_BYTES_MIN, fds.length * POLLFD_BYTES));
  const view = new DataView(buffer.buffer);
  fds.forEach((fd, index) => {
    view.setInt32(index * POLLFD_BYTES, fd, HOST_IS_LITTLE_ENDIAN);
    view.setInt16(index * POLLFD_BYTES + POLLFD_OFFSET_EVENTS, POLLIN, HOST_IS_LITTLE_ENDIAN);
  });
  return buffer;
}

function returnedEvents(buffer: Bytes, index: number): number {
  const offset = index * POLLFD_BYTES + POLLFD_OFFSET_REVENTS;
  return new DataView(buffer.buffer).getUint16(offset, HOST_IS_LITTLE_ENDIAN);
}
