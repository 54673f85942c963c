/**
 * The host interface names of a pod: the contract between the plugin, which creates the interface, and
 * the agent, which knows pods without attachment by them. The first name is Calico's scheme, so that a
 * migrating node keeps its names.
 */

import { createHash } from "node:crypto";

/** The prefix of every host interface of a pod, unless configured otherwise. */
export const INTERFACE_PREFIX = "cali";

/**
 * How many names a pod's interface can have. A name is a hash of 44 bits, for which another pod's name
 * can be searched: to take all of a pod's names needs as many such pods on its node.
 */
export const INTERFACE_NAMES_MAX = 16;

/**
 * The name that a pod's interface has unless another interface has it already: the prefix + the first
 * 11 hexadecimal digits of the SHA-1 of `<namespace>.<pod>`: 15 characters, the longest name that the
 * kernel takes (IFNAMSIZ − 1).
 */
export function interfaceNameOf(namespace: string, pod: string, prefix = INTERFACE_PREFIX): string {
  return hashName(`${namespace}.${pod}`, prefix);
}

/**
 * The names that a pod's interface can have, in the order in which they are tried: that of
 * {@link interfaceNameOf}, then the same of `<namespace>.<pod>/<n>`, n from 1 on. Neither part holds a
 * slash, so no pod has another's as its first.
 */
export function* interfaceNamesOf(
  namespace: string,
  pod: string,
  prefix: string = INTERFACE_PREFIX,
): Generator<string> {
  yield interfaceNameOf(namespace, pod, prefix);
  for (let n = 1; n < INTERFACE_NAMES_MAX; n++) yield hashName(`${namespace}.${pod}/${n}`, prefix);
}

function hashName(text: string, prefix: string): string {
  return prefix + createHash("sha1").update(text).digest("hex").slice(0, 15 - prefix.length);
}
