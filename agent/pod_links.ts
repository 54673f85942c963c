/**
 * The pods' interfaces as the kernel has them, by the alias that the plugin gave them: what a starting
 * agent can know of attachments without having been told, and what it mends on interfaces that an
 * earlier version made. Interfaces of other plugins stay as they are: their pods may need ARP.
 */

import type { Logger } from "../lib/base/log.ts";
import { bitsOf, FAMILIES } from "../lib/ip/address.ts";
import type { Attachment } from "../lib/model/facts.ts";
import { attachmentOf, isOurAlias } from "../lib/model/link_alias.ts";
import { NetlinkError } from "../lib/netlink/error.ts";
import { dumpLinks, type Link, parseLink, setLink } from "../lib/netlink/link/link.ts";
import {
  addNeighbour,
  dumpNeighbours,
  type Neighbour,
  parseNeighbour,
} from "../lib/netlink/neighbour/neighbour.ts";
import { dumpRoutes, parseRoute } from "../lib/netlink/route/route.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";

/** Dumps all links; the key is the name. */
export function readLinks(route: NetlinkSocket): ReadonlyMap<string, Link> {
  return new Map(route.dump(dumpLinks()).map(parseLink).map((it) => [it.name, it]));
}

/** Addresses to which a route of one host leads, by the index of the link that it names: a pod's, as a rule. */
export function readHostRoutes(route: NetlinkSocket): ReadonlyMap<number, readonly string[]> {
  const addresses = new Map<number, string[]>();
  for (const family of FAMILIES) {
    for (const { destination, index } of route.dump(dumpRoutes(family)).map(parseRoute)) {
      if (destination === "default" || index === undefined) continue;
      if (destination.length !== bitsOf(family)) continue;
      addresses.set(index, [...addresses.get(index) ?? [], destination.address.toString()]);
    }
  }
  return addresses;
}

/**
 * Whether an attachment's interface still exists: a link of its name whose alias names no other
 * attachment.
 */
export function hasInterface(links: ReadonlyMap<string, Link>, attachment: Attachment): boolean {
  const link = links.get(attachment.interfaceName);
  if (link === undefined) return false;
  const owner = isOurAlias(link.alias) ? attachmentOf(link.alias ?? "") : undefined;
  return owner === undefined ||
    owner.containerId === attachment.containerId && owner.ifname === attachment.ifname;
}

/**
 * Sets NOARP on the pods' interfaces that lack it, as the plugin now creates them, so that the node
 * learns no neighbours there. The change deletes the permanent neighbours too: the same batch adds them
 * again.
 */
export function stopLearning(
  route: NetlinkSocket,
  links: ReadonlyMap<string, Link>,
  logger: Logger,
): void {
  const learning = [...links.values()]
    .filter((it) => it.kind === "veth" && isOurAlias(it.alias) && !it.noArp);
  if (learning.length === 0) return;
  const permanent = Map.groupBy(
    route.dump(dumpNeighbours()).map(parseNeighbour).filter((it) => it.permanent),
    (it) => it.index,
  );
  for (const { index, name } of learning) {
    const results = route.pipeline([
      setLink({ index, noArp: true }),
      ...(permanent.get(index) ?? []).flatMap(toRequest),
    ]);
    const error = results.find((it) => it instanceof NetlinkError);
    if (error !== undefined) {
      logger.warn("cannot switch off neighbour learning", { interface: name, error });
    }
  }
  logger.info("neighbour learning switched off", { interfaces: learning.length });
}

function toRequest({ index, address, linkAddress }: Neighbour): ReturnType<typeof addNeighbour>[] {
  return linkAddress === undefined
    ? []
    : [addNeighbour({ index, address, linkAddress, replace: true })];
}
