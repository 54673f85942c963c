/** What a netlink socket does for its callers; {@link ./socket.ts} opens one that the kernel answers. */

import type { RawMessage, Request } from "./message.ts";
import type { NetlinkError } from "./error.ts";

/** A netlink socket, as everything above it sees it. */
export interface NetlinkSocket extends Disposable {
  /** The descriptor, for the poller. */
  readonly fd: number;
  /**
   * Sends one request and waits for its acknowledgement.
   *
   * @returns the messages that came before it (of a GET or with NLM_F_ECHO)
   * @throws {NetlinkError} if the kernel refuses
   */
  request(request: Request): readonly RawMessage[];
  /**
   * Sends several requests in one system call; each stands for itself.
   *
   * @returns for each request its replies, or the error, in order
   */
  pipeline(requests: readonly Request[]): readonly (readonly RawMessage[] | NetlinkError)[];
  /**
   * Dumps; starts again, a bounded number of times, when the kernel says that it was interrupted.
   *
   * @throws {NetlinkError} if the kernel refuses, or `EINTR` if it never got through
   */
  dump(request: Request): readonly RawMessage[];
  /**
   * Dumps a table that is too large for one turn of the event loop: yields the messages of each recv(2).
   * Until the dump ends the socket takes no other request; a caller that stops early blocks until it ends.
   *
   * @returns whether it is whole; otherwise messages may be missing, or may contradict each other
   * @throws {NetlinkError} if the kernel refuses
   */
  dumpParts(request: Request): Generator<readonly RawMessage[], boolean, void>;
  /**
   * Sends all requests as one datagram, as nf_tables transactions ask; the caller frames them with
   * begin and end. Large ones leave the event loop free; the next one waits for this one.
   *
   * @returns echoed messages
   * @throws {NetlinkBatchError} naming every refused message (the first ones, when they are more than
   * the receive buffer holds); nothing was applied
   * @throws {KernelError} `EMSGSIZE` if it is larger than the send buffer may become
   * @throws {NetlinkError} `ENOBUFS` if the answer was lost among echoes: it may have been applied
   */
  batch(requests: readonly Request[]): Promise<readonly RawMessage[]>;
  /** Joins a multicast group (RTNLGRP_*, NFNLGRP_*). */
  join(group: number): void;
  /**
   * From now on the kernel keeps the messages away that carry this port id: notifications of what that
   * socket changed, which then cannot crowd out those of others. Call it before {@link join}.
   *
   * @throws {KernelError} if the kernel refuses
   */
  ignore(portId: number): void;
  /**
   * Reads the notifications that are queued, without waiting.
   *
   * @returns `overrun` when some were lost: the reader must dump again
   */
  receive(): { readonly messages: readonly RawMessage[]; readonly overrun: boolean };
}
