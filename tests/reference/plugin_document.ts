/** docs/reference/plugin.md: the keys of the network configuration, and what the runtime says. */

import { IPAM_KEYS } from "../../cni/ipam/keys.ts";
import { IGNORED_KEYS, IPAM_REMEDY, RESTRICTIONS } from "../../cni/protocol/calico_keys.ts";
import { CNI_ARGUMENTS, CNI_VARIABLES } from "../../cni/protocol/environment.ts";
import type { DescribedKey, KeyTable } from "../../cni/protocol/key.ts";
import { API_KEYS, LOG_KEYS, NODE_KEYS, PLUGIN_KEYS } from "../../cni/protocol/keys.ts";
import { STANDARD_KEYS } from "../../cni/protocol/standard_keys.ts";
import { sentence } from "../../lib/settings/help.ts";
import { code, formatSection, formatTable } from "./markdown.ts";

/** The page. */
export function pluginDocument(): string {
  return [
    formatSection(
      "# The plugin's network configuration",
      "Keys of `calyx` in a CNI network configuration. Names are Calico's where it has the same " +
        "setting; a dot stands between the name of an object and of a key in it. Key names that " +
        "are not here are allowed and without effect.",
    ),
    formatSection("## Keys", keyTable(PLUGIN_KEYS)),
    formatSection("## Addresses", describedTable(IPAM_KEYS)),
    formatSection(
      "## The node's name",
      "Where `agent_socket` is missing: the first that is there counts, then the machine's host " +
        "name.",
      keyTable(NODE_KEYS),
    ),
    formatSection(
      "## The API server",
      "Where `agent_socket` is missing. These count before the " +
        "[variables](settings.md#the-api-server).",
      keyTable(API_KEYS),
    ),
    formatSection(
      "## The log",
      "On stderr, and in a file where one is named. What is wrong here refuses ADD, and is " +
        "passed over by every other command.",
      keyTable(LOG_KEYS),
    ),
    formatSection("## Keys of the CNI specification", describedTable(STANDARD_KEYS)),
    formatSection(
      "## Keys of Calico's that are refused",
      "With another value than these, ADD fails with code 2 and says what to do instead.",
      formatTable(["Key", "Accepted", "Instead"], [
        ...RESTRICTIONS.map(({ key, supported, remedy }) => [
          code(key),
          code(...supported.map((it) => JSON.stringify(it))),
          remedy,
        ]),
        [code("ipam.type"), 'all but `"calico-ipam"`', IPAM_REMEDY],
      ]),
    ),
    formatSection("## Keys of Calico's that change nothing", `${code(...IGNORED_KEYS)}.`),
    formatSection(
      "## What the runtime says",
      "Variables:",
      formatTable(
        ["Variable", "Needed by", "Meaning"],
        CNI_VARIABLES.map((it) => [code(it.name), code(...it.requiredBy), sentence(it.help)]),
      ),
      "Keys of `CNI_ARGS`:",
      formatTable(
        ["Key", "Meaning"],
        Object.entries(CNI_ARGUMENTS).map(([name, help]) => [code(name), sentence(help)]),
      ),
    ),
  ].join("");
}

const HEADINGS = ["Key", "Value", "Default", "Meaning"];

function keyTable(table: KeyTable): string {
  return formatTable(
    HEADINGS,
    Object.values(table).map(({ key, type, default: usual, unsaid = "", help }) => [
      code(key),
      type.form,
      usual === undefined ? unsaid : code(JSON.stringify(type.format(usual))),
      sentence(help),
    ]),
  );
}

function describedTable(rows: readonly DescribedKey[]): string {
  return formatTable(
    HEADINGS,
    rows.map((it) => [code(it.key), it.form, it.default ?? "", sentence(it.help)]),
  );
}
