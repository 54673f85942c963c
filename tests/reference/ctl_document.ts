/** docs/reference/ctl.md: the commands of calyxctl. */

import { formatOwnHelp, GLOBAL_HELP } from "../../ctl/help.ts";
import { COMMANDS } from "../../ctl/program.ts";
import { sentence } from "../../lib/settings/help.ts";
import { formatBlock, formatSection } from "./markdown.ts";

/** The page. */
export function ctlDocument(): string {
  const listed = COMMANDS.filter((it) => it.summary !== undefined);
  const refused = COMMANDS.filter((it) => it.summary === undefined).map((it) => `\`${it.name}\``);
  return [
    formatSection(
      "# calyxctl",
      "How it finds the API server is in [settings.md](settings.md#the-api-server). It changes " +
        `nothing: ${refused.join(", ")} say the kubectl command for the same job.`,
    ),
    ...listed.map((it) =>
      formatSection(
        `## calyxctl ${it.name}`,
        `${sentence(it.summary ?? "")}.`,
        formatBlock(formatOwnHelp(it)),
      )
    ),
    formatSection("## Flags of every command", formatBlock(GLOBAL_HELP)),
  ].join("");
}
