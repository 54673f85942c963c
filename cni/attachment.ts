/**
 * Which attachment an interface on the host belongs to, written on the interface itself: its alias
 * (IFLA_IFALIAS, `ip link show`) reads `calyx/<network>/<container>/<interface in the container>`. No
 * file can be lost, a reboot forgets it together with the interface, and DEL finds what belongs to its
 * own container, whatever became of the pod's name since.
 */

import { createHash } from "node:crypto";
import { INTERFACE_PREFIX, interfaceNameOf } from "../lib/model/interface_name.ts";
import type { PodName } from "./protocol/environment.ts";

/** One interface of one container in one network. */
export interface AttachmentId {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

const MARK = "calyx/";
/** Of a part; together they stay under IFALIASZ (256), <linux/if.h>. */
const PART_LENGTH_MAX = 100;

/** The alias of the host's interface of an attachment. */
export function aliasOf({ network, containerId, ifname }: AttachmentId): string {
  return `${MARK}${shorten(network)}/${shorten(containerId)}/${ifname}`;
}

/** Whether an alias is one of ours. */
export function isOurAlias(alias: string | undefined): boolean {
  return alias?.startsWith(MARK) === true;
}

/** Whether an alias is one of ours of this network. */
export function isAliasOfNetwork(alias: string | undefined, network: string): boolean {
  return alias?.startsWith(`${MARK}${shorten(network)}/`) === true;
}

/** The container and interface that an alias names; `undefined` where it had to be shortened. */
export function attachmentOf(
  alias: string,
): { readonly containerId: string; readonly ifname: string } | undefined {
  const [, , containerId = "", ifname = ""] = alias.split("/");
  return containerId === "" || containerId.includes(":") ? undefined : { containerId, ifname };
}

/** Neither a network's name nor a container's id may hold a colon, so nothing else reads like this. */
function shorten(part: string): string {
  if (part.length <= PART_LENGTH_MAX) return part;
  return `sha1:${createHash("sha1").update(part).digest("hex")}`;
}

/**
 * The host's interface name: the pod's, as everybody computes it; a container that is no pod's gets one
 * of its own.
 */
export function hostNameOf(
  pod: PodName | undefined,
  id: AttachmentId,
  prefix: string = INTERFACE_PREFIX,
): string {
  if (pod !== undefined) return interfaceNameOf(pod.namespace, pod.name, prefix);
  return interfaceNameOf(id.network, `${id.containerId}/${id.ifname}`, prefix);
}
