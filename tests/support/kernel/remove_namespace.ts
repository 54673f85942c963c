/**
 * Takes a network namespace away at once. When its name goes, the kernel dissolves it later, in one
 * worker for the whole machine (`cleanup_net()`, net/core/net_namespace.c): on a busy one the host's ends
 * of its pairs are still there when the next test looks.
 */

import { deleteNamespace, openNamespace, withNamespace } from "../../../lib/kernel/namespace.ts";
import { deleteLink, dumpLinks, parseLink } from "../../../lib/netlink/link/link.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";

/** Deletes the pairs of the namespace at `path`, and then its name. */
export function removeNamespace(path: string): void {
  {
    using namespace = openNamespace(path);
    using route = withNamespace(namespace, () => openNetlinkSocket(NETLINK_ROUTE));
    deletePairs(route);
  }
  deleteNamespace(path);
}

/** Deletes the pairs of the namespace that `route` was opened in, on both sides. */
export function deletePairs(route: NetlinkSocket): void {
  const pairs = route.dump(dumpLinks()).map(parseLink).filter((it) => it.kind === "veth");
  route.pipeline(pairs.map(({ index }) => deleteLink({ index }))); // one may have gone by itself
}
