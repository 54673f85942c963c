/**
 * The host interface name of a pod: the contract between the plugin, which creates it, and the
 * agent, which knows the pod by it. Calico's scheme, so that a migrating node keeps its names.
 */

import { createHash } from "node:crypto";

/** The prefix of every host interface of a pod, unless configured otherwise. */
export const INTERFACE_PREFIX = "cali";

/**
 * The prefix + the first 11 hexadecimal digits of the SHA-1 of `<namespace>.<pod>`: 15 characters, the
 * longest name that the kernel takes (IFNAMSIZ − 1).
 */
export function interfaceNameOf(namespace: string, pod: string, prefix = INTERFACE_PREFIX): string {
  const digest = createHash("sha1").update(`${namespace}.${pod}`).digest("hex");
  return prefix + digest.slice(0, 15 - prefix.length);
}
