/**
 * The host's ends of the pods' pairs: their names, finding the one of an attachment by what it carries
 * (`link_alias.ts`), judging what has a name that is wanted, deleting.
 */

import { isNotFound } from "../lib/netlink/error.ts";
import { deleteLink, dumpLinks, getLink, type Link, parseLink } from "../lib/netlink/link/link.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import { INTERFACE_PREFIX, interfaceNamesOf } from "../lib/model/interface_name.ts";
import {
  type AttachmentId,
  isOurAlias,
  isSameAttachment,
  isSameContainer,
  podDigestIn,
} from "../lib/model/link_alias.ts";
import { HOST_LINK_ADDRESS } from "./plan.ts";
import type { PodName } from "./protocol/environment.ts";
import { CniError } from "./protocol/error.ts";

/** How long an ADD takes at most from creating a pair to setting its alias (ms); it takes less than one. */
export const MARKING_MS_MAX = 250;

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

/**
 * The names that the host's interface can have, in the order in which ADD tries them: the pod's; a
 * container that is no pod's has names of its own.
 */
export function hostNamesOf(
  pod: PodName | undefined,
  id: AttachmentId,
  prefix: string = INTERFACE_PREFIX,
): Iterable<string> {
  if (pod !== undefined) return interfaceNamesOf(pod.namespace, pod.name, prefix);
  return interfaceNamesOf(id.network, `${id.containerId}/${id.ifname}`, prefix);
}

/** Every link that carries one of our aliases. */
export function listOurLinks(socket: NetlinkSocket): Link[] {
  return socket.dump(dumpLinks()).map(parseLink).filter((it) => isOurAlias(it.alias));
}

/** Every pair without an alias: a kill left it, or a running ADD is about to mark it. */
export function listHalfMadeLinks(socket: NetlinkSocket): Link[] {
  return socket.dump(dumpLinks()).map(parseLink)
    .filter((it) => it.kind === "veth" && isHalfMade(it));
}

/**
 * Deletes the host's end of the attachment with this alias, and with it the pod's, whether or not the
 * alias names the pod. The interface of another attachment stays, even if the pod's name makes both use
 * the same interface name: then this is the DEL of an old sandbox, and the interface is the new one's.
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
  const link = isSameAttachment(likely?.alias, alias)
    ? likely
    : listOurLinks(socket).find((it) => isSameAttachment(it.alias, alias));
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

/** How ADD treats a link that has the name of the new interface. */
export type NameHolder =
  /** It belongs to an earlier sandbox of the same pod: ADD may delete it. */
  | "same pod"
  /** It belongs to another pod or program: it stays. */
  | "other"
  /** An ADD has not marked it yet, or was killed before: it was never up. */
  | "half made"
  /** Ours, from a version without the pod in the alias: ADD asks the agent. */
  | "unnamed pod";

/**
 * Whose the link is that has the name that a new interface is to have. A name proves nothing: it is a
 * short hash, and another pod's name with the same hash can be searched for.
 *
 * @param alias of the attachment that the name is for
 * @throws {CniError} if it is an interface of this very container, which can have one
 */
export function holderOf(link: Link, wanted: string): NameHolder {
  const { kind, alias, name } = link;
  if (kind === "veth" && isHalfMade(link)) return "half made";
  if (kind !== "veth" || alias === undefined || !isOurAlias(alias)) return "other";
  if (isSameAttachment(alias, wanted)) return "same pod";
  if (isSameContainer(alias, wanted)) {
    throw new CniError(
      "networkFailed",
      `The pod has an interface on the node already: ${name}, "${alias}"`,
      { details: "One pod can have one interface of this plugin" },
    );
  }
  const digest = podDigestIn(alias);
  if (digest === undefined) return "unnamed pod";
  return digest === podDigestIn(wanted) ? "same pod" : "other";
}

/**
 * Whether this is a pair that a kill left between making it and marking it as ours: it was never up.
 * Only the pod's end can say whose it was.
 */
export function isHalfMade({ alias, address, up }: Link): boolean {
  return alias === undefined && address === HOST_LINK_ADDRESS && !up;
}
