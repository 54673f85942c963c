/**
 * Hears of interfaces that go, by RTNLGRP_LINK (<linux/rtnetlink.h>): an attachment goes with its
 * interface, also where the plugin could not tell, as the agent was stopped or too busy to answer. What
 * happened while the process stood still waits in the socket.
 */

import type { Logger } from "../lib/base/log.ts";
import { Poller } from "../lib/kernel/poller.ts";
import { isDeletedLink, parseLink } from "../lib/netlink/link/link.ts";
import { RTNLGRP_LINK } from "../lib/netlink/link/message.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../lib/netlink/socket.ts";

/** The callback for changes. */
export interface LinkWatchOptions {
  /** Called with the names of interfaces that went; `undefined`: any may have gone. */
  readonly onGone: (names: ReadonlySet<string> | undefined) => void;
  readonly logger: Logger;
}

/** Watches until it is disposed. @throws {KernelError} if the kernel gives no socket */
export function watchLinks({ onGone, logger }: LinkWatchOptions): Disposable {
  const socket = openNetlinkSocket(NETLINK_ROUTE);
  socket.join(RTNLGRP_LINK);
  const poller = new Poller();
  poller.watch(socket.fd, () => {
    const { messages, overrun } = socket.receive();
    if (overrun) return onGone(undefined);
    const names = messages.filter(isDeletedLink).map((it) => parseLink(it).name);
    if (names.length > 0) onGone(new Set(names));
  });
  poller.done.catch((error) => logger.error("interfaces are no longer watched", { error }));
  return {
    [Symbol.dispose]() {
      poller[Symbol.dispose]();
      socket[Symbol.dispose]();
    },
  };
}
