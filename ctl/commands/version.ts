/** `version`: this program's, and the API server's. */

import { commit, version } from "../../lib/base/version.ts";
import { setting, type SettingTable } from "../../lib/settings/setting.ts";
import { switched } from "../../lib/settings/value_type.ts";
import { readFlag } from "../arguments.ts";
import { openCluster } from "../cluster/connection.ts";
import type { Command } from "../command.ts";

const FLAGS = {
  client: setting({
    flag: "client",
    type: switched,
    default: false,
    help: "only this program's version: asks no server",
  }),
} as const satisfies SettingTable;

export const versionCommand: Command = {
  name: "version",
  summary: "print the versions of calyxctl and of the API server",
  usage: "[flags]",
  flags: FLAGS,
  run: async (call) => {
    call.terminal.print(
      `Client Version:   ${version}\nGit commit:       ${commit}\n` +
        `Deno:             ${Deno.version.deno}\n`,
    );
    if (readFlag(FLAGS.client, call.flags)) return;
    await using cluster = await openCluster(call);
    call.terminal.print(`Server Version:   ${await cluster.version()}\n`);
  },
};
