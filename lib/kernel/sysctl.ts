/**
 * Kernel parameters under `/proc/sys`. Keys are paths, not dotted names: an interface may be called
 * `eth0.100`. What is under `net/` belongs to the network namespace in which the file is opened.
 */

import { assert } from "../base/assert.ts";
import { type Descriptor, readFile, writeFile } from "./descriptor.ts";
import { withNamespace } from "./namespace.ts";

/**
 * Sets the parameter `key`, `net/ipv4/conf/eth0/forwarding`, in `namespace` or in the own one.
 *
 * @throws {KernelError} if there is no such parameter (`ENOENT`) or the kernel refuses
 */
export function writeSysctl(key: string, value: string, namespace?: Descriptor): void {
  const path = pathOf(key);
  if (namespace === undefined) writeFile(path, value);
  else withNamespace(namespace, () => writeFile(path, value));
}

/**
 * The value of the parameter `key`, without its newline.
 *
 * @throws {KernelError} if there is no such parameter (`ENOENT`)
 */
export function readSysctl(key: string, namespace?: Descriptor): string {
  const path = pathOf(key);
  const text = namespace === undefined
    ? readFile(path)
    : withNamespace(namespace, () => readFile(path));
  return text.trimEnd();
}

function pathOf(key: string): string {
  const parts = key.split("/");
  assert(parts.every((it) => it !== "" && it !== "." && it !== ".."), `"${key}" is no parameter`);
  return `/proc/sys/${key}`;
}
