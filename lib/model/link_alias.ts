/**
 * Which attachment has which interface of the node, and whose pod it is, written on the interface
 * itself: its alias (IFLA_IFALIAS, `ip link show`) reads
 * `calyx/<network>/<container>/<interface in the container>/<digest of the pod's namespace and name>`.
 * No file can be lost, a reboot forgets it together with the interface, DEL finds what belongs to its
 * own container, whatever became of the pod's name since, and ADD sees whose interface has the name
 * that it wants. The digest is missing where the container is no pod's, and on interfaces of plugins
 * that did not write it yet.
 */

import { createHash } from "node:crypto";

/** One interface of one container in one network. */
export interface AttachmentId {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

const MARK = "calyx/";
/** Of a part; all together they stay under IFALIASZ (256), <linux/if.h>. */
const PART_LENGTH_MAX = 100;
/** How many parts name the attachment, the mark among them; the next one is the pod's digest. */
const ATTACHMENT_PARTS = 4;
/** Bytes of a pod's digest: 144 bits, 24 characters. */
const DIGEST_BYTES = 18;

/** The alias of the host's interface of an attachment; `pod` is absent where it is no pod's. */
export function aliasOf(
  { network, containerId, ifname }: AttachmentId,
  pod?: { readonly namespace: string; readonly name: string },
): string {
  const attachment = `${MARK}${shorten(network)}/${shorten(containerId)}/${ifname}`;
  return pod === undefined ? attachment : `${attachment}/${podDigestOf(pod.namespace, pod.name)}`;
}

/**
 * What an alias carries of the pod: the first 144 bits of the SHA-256 of `<namespace>/<name>`, as
 * base64url (RFC 4648, section 5). A name that is as long as an interface's can be is a hash that
 * another pod's name can be searched for; this one cannot.
 */
export function podDigestOf(namespace: string, name: string): string {
  const digest = createHash("sha256").update(`${namespace}/${name}`).digest();
  return digest.subarray(0, DIGEST_BYTES).toString("base64url");
}

/** The pod's digest in an alias; `undefined` where the alias is not ours or names no pod. */
export function podDigestIn(alias: string | undefined): string | undefined {
  return isOurAlias(alias) ? alias?.split("/")[ATTACHMENT_PARTS] : undefined;
}

/** Whether an alias is one of ours. */
export function isOurAlias(alias: string | undefined): boolean {
  return alias?.startsWith(MARK) === true;
}

/** Whether an alias is one of ours of this network. */
export function isAliasOfNetwork(alias: string | undefined, network: string): boolean {
  return alias?.startsWith(`${MARK}${shorten(network)}/`) === true;
}

/** Whether two aliases are of one attachment, whether or not they name its pod. */
export function isSameAttachment(alias: string | undefined, other: string): boolean {
  return alias !== undefined && attachmentPartOf(alias) === attachmentPartOf(other);
}

/** The part of an alias that names the attachment: the alias without the pod's digest. */
export function attachmentPartOf(alias: string): string {
  return alias.split("/").slice(0, ATTACHMENT_PARTS).join("/");
}

/** Whether two aliases are of one container: of the same interface of it or of two. */
export function isSameContainer(alias: string | undefined, other: string): boolean {
  return isOurAlias(alias) && alias?.split("/")[2] === other.split("/")[2];
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
