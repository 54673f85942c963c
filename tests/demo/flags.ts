/** The flags of `deno task demo`, a row each, and its help. */

import { CREDENTIAL_FLAGS } from "../../lib/credentials/settings.ts";
import { formatFlags } from "../../lib/settings/help.ts";
import { setting, type SettingTable } from "../../lib/settings/setting.ts";
import { switched, text } from "../../lib/settings/value_type.ts";

export const FLAGS = {
  kubeconfig: setting({
    flag: "kubeconfig",
    type: text("FILE"),
    help: "use this cluster's API server instead of a small one of ours; a namespace and a node " +
      "named calyx-demo are made and deleted there",
  }),
  context: CREDENTIAL_FLAGS.context,
  json: setting({
    flag: "json",
    type: switched,
    default: false,
    help: "print the facts as one JSON object; exit 1 when a verdict is wrong",
  }),
  help: setting({ flag: "help", type: switched, default: false, help: "print this help" }),
} as const satisfies SettingTable;

/** The text of `--help`. */
export const HELP = `deno task demo [flags]: watch a NetworkPolicy being enforced on real packets.

${formatFlags(FLAGS)}`;
