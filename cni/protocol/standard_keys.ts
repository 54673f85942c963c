/**
 * The keys that the CNI specification defines, for docs/reference/plugin.md; they are read where they are
 * needed. Apart from `keys.ts`, so that the plugin does not carry it.
 */

import type { DescribedKey } from "./key.ts";
import { CNI_VERSION_UNSAID, CNI_VERSIONS } from "./version.ts";

/** Every one that is read. */
export const STANDARD_KEYS: readonly DescribedKey[] = [
  {
    key: "cniVersion",
    form: "text",
    default: CNI_VERSION_UNSAID,
    help: `version of the protocol: ${CNI_VERSIONS.join(", ")}`,
  },
  { key: "name", form: "text", help: "name of the network; required, and part of file names" },
  { key: "type", form: "text", help: "name of the plugin's executable" },
  { key: "dns.nameservers", form: "list of texts", help: "name servers of the result" },
  { key: "dns.domain", form: "text", help: "domain of the result" },
  { key: "dns.search", form: "list of texts", help: "search list of the result" },
  { key: "dns.options", form: "list of texts", help: "resolver options of the result" },
  { key: "prevResult", form: "object", help: "the result so far; the runtime sets it" },
  {
    key: "cni.dev/valid-attachments",
    form: "list of objects: containerID, ifname",
    help: "what GC keeps; the runtime sets it",
  },
];
