/**
 * The host's ends of the pods' pairs: finding the one of an attachment by what it carries
 * (`attachment.ts`), looking at what has a name that is wanted, deleting.
 */

import { isNotFound } from "../lib/netlink/error.ts";
import { deleteLink, dumpLinks, getLink, type Link, parseLink } from "../lib/netlink/link/link.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import { isOurAlias } from "./attachment.ts";
import { HOST_LINK_ADDRESS } from "./plan.ts";
import { CniError } from "./protocol/error.ts";

/** The link of this name; `undefined` if there is none. */
export function findLink(socket: NetlinkSocket, name: string): Link | undefined {
  try {
    const [reply] = socket.request(getLink({ name }));
    return reply === undefined ? undefined : parseLink(reply);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Every link that carries one of our aliases. */
export function listOurLinks(socket: NetlinkSocket): Link[] {
  return socket.dump(dumpLinks()).map(parseLink).filter((it) => isOurAlias(it.alias));
}

/** Every pair that a kill may have left half made, or that an ADD is about to mark. */
export function listHalfMadeLinks(socket: NetlinkSocket): Link[] {
  return socket.dump(dumpLinks()).map(parseLink)
    .filter((it) => it.kind === "veth" && isHalfMade(it));
}

/**
 * Deletes the host's end of the attachment with this alias, and with it the pod's. The interface of
 * another attachment stays, even if the pod's name makes both use the same interface name: then this
 * is the DEL of an old sandbox, and the interface is the new one's.
 *
 * @param name the name it most likely has; without one all links are looked through
 * @returns whether there was one
 */
export function deleteAttachmentLink(
  socket: NetlinkSocket,
  alias: string,
  name: string | undefined,
): boolean {
  const likely = name === undefined ? undefined : findLink(socket, name);
  const link = likely?.alias === alias
    ? likely
    : listOurLinks(socket).find((it) => it.alias === alias);
  if (link === undefined) return false;
  return deleteLinkIfThere(socket, link.index);
}

/** Deletes a link; `false` if it went by itself, as when its peer's namespace does. */
export function deleteLinkIfThere(socket: NetlinkSocket, index: number): boolean {
  try {
    socket.request(deleteLink({ index }));
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/**
 * What has the name that a new interface is to have, if it may go: then it is the interface of an
 * earlier sandbox of the same pod, since nobody else's name hashes to it.
 *
 * @param alias of the attachment that the name is for
 * @throws {CniError} if the name belongs to somebody else, or to this very container's other interface
 */
export function findReplaceable(
  socket: NetlinkSocket,
  name: string,
  alias: string,
): Link | undefined {
  const link = findLink(socket, name);
  if (link === undefined) return undefined;
  if (link.kind !== "veth" || !isOurAlias(link.alias) && !isHalfMade(link)) {
    throw new CniError("networkFailed", `Interface ${name} exists on the node and is not ours`, {
      details: `If nothing needs it any more: ip link delete ${name}`,
    });
  }
  if (isSameContainer(link.alias, alias)) {
    throw new CniError(
      "networkFailed",
      `The pod has an interface on the node already: ${name}, "${link.alias}"`,
      { details: "One pod can have one interface of this plugin" },
    );
  }
  return link;
}

/**
 * Whether this is a pair that a kill left between making it and marking it as ours: it was never up.
 * Only the pod's end can say whose it was.
 */
export function isHalfMade({ alias, address, up }: Link): boolean {
  return alias === undefined && address === HOST_LINK_ADDRESS && !up;
}

/** Another interface, or another network's, of the same container. */
function isSameContainer(actual: string | undefined, wanted: string): boolean {
  return actual !== undefined && actual !== wanted && containerOf(actual) === containerOf(wanted);
}

/** The container's part of an alias. */
function containerOf(alias: string): string | undefined {
  return alias.split("/")[2];
}
