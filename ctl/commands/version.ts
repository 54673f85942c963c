/** `version`: this program's, and the API server's. */

import { commit, version } from "../../lib/base/version.ts";
import { openCluster } from "../cluster/connection.ts";
import type { Command } from "../command.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "print the versions of calyxctl and of the API server",
  help: `Usage: calyxctl version [flags]

Flags:
      --client   only this program's version: asks no server
`,
  flags: { boolean: ["client"] },
  run: async (call) => {
    call.terminal.print(
      `Client Version:   ${version}\nGit commit:       ${commit}\n` +
        `Deno:             ${Deno.version.deno}\n`,
    );
    if (call.flags.has("client")) return;
    await using cluster = await openCluster(call);
    call.terminal.print(`Server Version:   ${await cluster.version()}\n`);
  },
};
