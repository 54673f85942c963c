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

/** Whose changes are ours, and what follows from the others. */
export interface TableGuardOptions {
  /** The port id of the socket that our transactions are sent by. */
  readonly ownPortId: number;
  /** Called soon after each foreign change; at most twice a second. */
  readonly onForeignChange: () => void;
  readonly logger: Logger;
}

/** Watches until it is disposed. */
export interface TableGuard extends Disposable {
  /** How many commits of others touched our table, or may have, as of now. */
  foreignChanges(): number;
  /** Resolves when it watches no longer. */
  readonly done: Promise<void>;
}

/** At most one repair in this time, whatever the other process does. */
const REPAIR_INTERVAL_MS = 500;

/** Begins to watch. @throws {KernelError} if the kernel gives no socket */
export function guardTable(options: TableGuardOptions): TableGuard {
  const { ownPortId, onForeignChange, logger } = options;
  const socket = openNetlinkSocket(NETLINK_NETFILTER);
  socket.ignore(ownPortId);
  socket.join(NFNLGRP_NFTABLES);
  const poller = new Poller();
  let isOurTable = false;
  let changes = 0;
  let timer: number | undefined;
  let repairedAtMs = -Infinity;
  const repair = (reason: string): void => {
    changes++;
    if (timer !== undefined) return;
    const waitMs = Math.max(0, repairedAtMs + REPAIR_INTERVAL_MS - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      repairedAtMs = performance.now();
      logger.warn("table changed by another process; repairing", { reason });
      onForeignChange();
    }, waitMs);
  };
  const read = (): void => {
    const { messages, overrun } = socket.receive();
    if (overrun) repair("notifications were lost");
    for (const message of messages) {
      const table = changedTable(message);
      if (table?.name === TABLE.name && table.family === TABLE.family) isOurTable = true;
      if (table !== undefined || !isOurTable) continue;
      const notification = parseNotification(message);
      if (notification.kind !== "generation") continue;
      const { processName = "a process unknown" } = notification.generation;
      repair(`changed by ${processName}`);
      isOurTable = false;
    }
  };
  poller.watch(socket.fd, read);
  const done = poller.done
    .catch((error) => logger.error("table is no longer watched", { error }));
  return {
    done,
    foreignChanges() {
      read();
      return changes;
    },
    [Symbol.dispose]() {
      clearTimeout(timer);
      poller[Symbol.dispose]();
      socket[Symbol.dispose]();
    },
  };
}
