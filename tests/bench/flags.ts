/** The flags of `deno task bench`, a row each, and its help. */

import { formatFlags } from "../../lib/settings/help.ts";
import { setting, type SettingTable } from "../../lib/settings/setting.ts";
import { integer, switched, text } from "../../lib/settings/value_type.ts";

export const FLAGS = {
  filter: setting({
    flag: "filter",
    type: text("WORDS"),
    help: "only those with one of these words in their name (or give words without it): " +
      "executables, plugin, agent, event, churn, nft, loss, flow, validation, policies, packet, pure",
  }),
  isJson: setting({
    flag: "json",
    type: switched,
    default: false,
    help: "print one JSON object: machine, tables, skipped, failed",
  }),
  runs: setting({
    flag: "runs",
    type: integer("N", 1),
    unsaid: "each benchmark's own",
    help: "rounds of each; more takes longer and says more",
  }),
  pods: setting({
    flag: "pods",
    type: integer("N", 1),
    default: 10_000,
    help: "pods in the big cluster",
  }),
  policies: setting({
    flag: "policies",
    type: integer("N", 1),
    default: 1_000,
    help: "policies in the big cluster",
  }),
  peer: setting({
    flag: "peer",
    type: text("PATH"),
    help: "another CNI plugin to time beside ours",
  }),
  peerConfiguration: setting({
    flag: "peer-conf",
    type: text("FILE"),
    help: "its network configuration, JSON",
  }),
  help: setting({ flag: "help", type: switched, default: false, help: "print this help" }),
} as const satisfies SettingTable;

/** The text of `--help`. */
export const HELP = `deno task bench [flags] [word…]: print the benchmarks beside an alternative.

${formatFlags(FLAGS)}`;
