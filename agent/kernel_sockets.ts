/**
 * The agent's netlink sockets that ask and tell; those that listen belong to who hears them (`table_guard.ts`,
 * `link_watch.ts`). Several to one subsystem, so that a long dump of one does not keep another's request.
 */

import type { Logger } from "../lib/base/log.ts";
import {
  NETLINK_NETFILTER,
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../lib/netlink/socket.ts";
import { missingConntrack, openNetfilter } from "./kernel_need.ts";

/** They close when it is disposed of. */
export interface KernelSockets extends Disposable {
  /** Commits the ruleset, and changes flows. */
  readonly netfilter: NetlinkSocket;
  /** Reads the table, while `netfilter` commits. */
  readonly tableReader: NetlinkSocket;
  readonly route: NetlinkSocket;
  /** Dumps flows. */
  readonly flowDumps: NetlinkSocket;
  /** Dumps other programs' nf_tables objects. */
  readonly others: NetlinkSocket;
}

/**
 * Opens the sockets; logs a warning if flows cannot be read.
 *
 * @throws {Error} one sentence with what the kernel lacks, and how to have it
 */
export function openKernelSockets(isFlowCut: boolean, logger: Logger): KernelSockets {
  using stack = new DisposableStack();
  const netfilter = stack.use(openNetfilter());
  const tableReader = stack.use(openNetfilter());
  const route = stack.use(openNetlinkSocket(NETLINK_ROUTE));
  const flowDumps = stack.use(openNetlinkSocket(NETLINK_NETFILTER));
  const reason = isFlowCut ? missingConntrack(flowDumps) : undefined;
  const others = stack.use(openNetlinkSocket(NETLINK_NETFILTER));
  if (reason !== undefined) logger.warn("flows cannot be cut", { reason });
  const opened = stack.move();
  return {
    ...{ netfilter, tableReader, route, flowDumps, others },
    [Symbol.dispose]: () => opened.dispose(),
  };
}
