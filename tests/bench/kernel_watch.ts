/**
 * Receives the notification of every commit to nf_tables in this network namespace, and resolves the
 * caller's promise at the first one that has the object that the caller waits for.
 */

import { Poller } from "../../lib/kernel/poller.ts";
import { NFNLGRP_NFTABLES } from "../../lib/netlink/nftables/message.ts";
import { type Notification, parseNotification } from "../../lib/netlink/nftables/notification.ts";
import {
  NETLINK_NETFILTER,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../lib/netlink/socket.ts";

interface Waiter {
  readonly isMet: (notification: Notification) => boolean;
  readonly resolve: (atMs: number) => void;
  hasMet: boolean;
}

/** How many notifications were lost, and commits heard. */
export interface KernelWatchCounts {
  commits: number;
  overruns: number;
}

/** Listens until it is disposed of. */
export class KernelWatch implements AsyncDisposable {
  readonly counts: KernelWatchCounts = { commits: 0, overruns: 0 };
  readonly #socket: NetlinkSocket;
  readonly #poller = new Poller();
  #waiter: Waiter | undefined;

  constructor() {
    this.#socket = openNetlinkSocket(NETLINK_NETFILTER);
    this.#socket.join(NFNLGRP_NFTABLES);
    this.#poller.watch(this.#socket.fd, () => this.#receive());
  }

  /**
   * Waits for a commit that has a change of which `isMet` says yes. One waits at a time; call this
   * before causing the change.
   *
   * @returns the moment at which its NFT_MSG_NEWGEN was read, as `performance.now()`; undefined if
   * none came in time
   */
  commit(
    isMet: (notification: Notification) => boolean,
    timeoutMs = 5_000,
  ): Promise<number | undefined> {
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const timer = setTimeout(() => resolve(undefined), timeoutMs);
    this.#waiter = { isMet, resolve, hasMet: false };
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiter = undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#poller[Symbol.dispose]();
    await this.#poller.done;
    this.#socket[Symbol.dispose]();
  }

  #receive(): void {
    const { messages, overrun } = this.#socket.receive();
    const atMs = performance.now();
    if (overrun) this.counts.overruns++;
    for (const raw of messages) {
      const notification = parseNotification(raw);
      const waiter = this.#waiter;
      if (notification.kind !== "generation") {
        if (waiter !== undefined && !waiter.hasMet) waiter.hasMet = waiter.isMet(notification);
        continue;
      }
      this.counts.commits++;
      if (waiter?.hasMet) waiter.resolve(atMs);
    }
  }
}
