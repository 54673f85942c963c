/**
 * Notices when somebody else changes our table: `nft flush ruleset`, a firewall that reloads. Where the
 * kernel keeps the table ours nobody can; elsewhere the loop then reads the kernel and repairs.
 */

import type { Logger } from "../lib/base/log.ts";
import { Poller } from "../lib/kernel/poller.ts";
import { TABLE } from "../lib/dataplane/table.ts";
import { NFNLGRP_NFTABLES } from "../lib/netlink/nftables/message.ts";
import { type Notification, parseNotification } from "../lib/netlink/nftables/notification.ts";
import { NETLINK_NETFILTER, openNetlinkSocket } from "../lib/netlink/socket.ts";

/** Who is told. */
export interface TableGuardOptions {
  /** Whether the commit that made this generation was ours. */
  readonly isOwn: (generation: number) => boolean;
  readonly onForeignChange: () => void;
  readonly logger: Logger;
}

/** At most one repair in this time, whatever the other one does. */
const REPAIR_INTERVAL_MS = 500;

/** Watches until it is disposed. */
export function guardTable({ isOwn, onForeignChange, logger }: TableGuardOptions): Disposable {
  const socket = openNetlinkSocket(NETLINK_NETFILTER);
  socket.join(NFNLGRP_NFTABLES);
  const poller = new Poller();
  let isOurTable = false;
  let timer: number | undefined;
  let repairedAtMs = -Infinity;
  const repair = (reason: string): void => {
    if (timer !== undefined) return;
    const waitMs = Math.max(0, repairedAtMs + REPAIR_INTERVAL_MS - performance.now());
    timer = setTimeout(() => {
      timer = undefined;
      repairedAtMs = performance.now();
      logger.warn("table changed by somebody else; repairing", { reason });
      onForeignChange();
    }, waitMs);
  };
  poller.watch(socket.fd, () => {
    const { messages, overrun } = socket.receive();
    if (overrun) repair("notifications were lost");
    for (const message of messages) {
      const notification = parseNotification(message);
      if (notification.kind !== "generation") {
        isOurTable ||= tableOf(notification) === TABLE.name;
        continue;
      }
      const { id, processName } = notification.generation;
      if (isOurTable && !isOwn(id)) repair(`changed by ${processName ?? "a process unknown"}`);
      isOurTable = false;
    }
  });
  poller.done.catch((error) => logger.error("table is no longer watched", { error }));
  return {
    [Symbol.dispose]() {
      clearTimeout(timer);
      poller[Symbol.dispose]();
      socket[Symbol.dispose]();
    },
  };
}

function tableOf(notification: Notification): string | undefined {
  switch (notification.kind) {
    case "table":
      return notification.table.name;
    case "chain":
      return notification.chain.table.name;
    case "rule":
      return notification.rule.table.name;
    case "set":
      return notification.set.table.name;
    case "elements":
      return notification.list.table.name;
    default:
      return undefined;
  }
}
