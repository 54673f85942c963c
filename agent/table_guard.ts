/**
 * Notices when another process changes our table: `nft flush ruleset`, a firewall that reloads. Where
 * the kernel keeps the table ours no other can; elsewhere the loop then reads the kernel and repairs.
 *
 * What our own socket commits the kernel does not send here: each notification carries the port id of
 * the socket that committed (`nf_tables_gen_notify()`, net/netfilter/nf_tables_api.c), and a filter in
 * the kernel looks at it. So a transaction of ours is never taken for another's, however large it is,
 * and its notifications cannot crowd out those of others.
 */

import type { Logger } from "../lib/base/log.ts";
import { Poller } from "../lib/kernel/poller.ts";
import { TABLE } from "../lib/dataplane/table.ts";
import { NFNLGRP_NFTABLES } from "../lib/netlink/nftables/message.ts";
import { changedTable, parseNotification } from "../lib/netlink/nftables/notification.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../lib/netlink/socket.ts";

/** The arguments of `start()`. */
export interface TableGuardOptions {
  /** The port id of the socket that our transactions are sent by. */
  readonly ownPortId: number;
  /** Called soon after each foreign change; at most twice a second. */
  readonly onForeignChange: () => void;
}

/** At most one repair in this time (ms), however often the other process writes. */
const REPAIR_INTERVAL_MS = 500;

/** Watches from `start()` on until it is disposed of. */
export class TableGuard implements Disposable {
  readonly #logger: Logger;
  readonly #socket = openNetlinkSocket(NETLINK_NETFILTER);
  #poller: Poller | undefined;
  #onForeignChange: () => void = () => {};
  #isOurTable = false;
  #changes = 0;
  #timer: number | undefined;
  #repairedAtMs = -Infinity;

  /** @throws {KernelError} if the kernel gives no socket */
  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Begins to listen; earlier changes of other processes are not reported. */
  start({ ownPortId, onForeignChange }: TableGuardOptions): void {
    this.#onForeignChange = onForeignChange;
    this.#socket.ignore(ownPortId);
    this.#socket.join(NFNLGRP_NFTABLES);
    this.#poller = new Poller();
    this.#poller.watch(this.#socket.fd, () => this.#read());
    this.#poller.done
      .catch((error) => this.#logger.error("table is no longer watched", { error }));
  }

  /** How many commits of other processes touched our table, or may have (notifications were lost). */
  foreignChanges(): number {
    if (this.#poller !== undefined) this.#read();
    return this.#changes;
  }

  /** Resolves when it watches no longer. */
  get done(): Promise<void> {
    return this.#poller?.done.catch(() => {}) ?? Promise.resolve();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#poller?.[Symbol.dispose]();
    this.#socket[Symbol.dispose]();
  }

  #read(): void {
    const { messages, overrun } = this.#socket.receive();
    if (overrun) this.#repair("notifications were lost");
    for (const message of messages) {
      const table = changedTable(message);
      if (table?.name === TABLE.name && table.family === TABLE.family) this.#isOurTable = true;
      if (table !== undefined || !this.#isOurTable) continue;
      const notification = parseNotification(message);
      if (notification.kind !== "generation") continue;
      const { processName = "a process unknown" } = notification.generation;
      this.#repair(`changed by ${processName}`);
      this.#isOurTable = false;
    }
  }

  #repair(reason: string): void {
    this.#changes++;
    if (this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#repairedAtMs + REPAIR_INTERVAL_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#repairedAtMs = performance.now();
      this.#logger.warn("table changed by another process; repairing", { reason });
      this.#onForeignChange();
    }, waitMs);
  }
}
