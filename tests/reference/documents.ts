/**
 * The documents that are made from tables of the programs: docs/reference and the agent's file of
 * settings. `deno task docs` writes them, and a test compares.
 */

import { formatComment, formatVariableFile, sentence } from "../../lib/settings/help.ts";
import { SETTINGS } from "../../agent/settings.ts";
import { CREDENTIALS } from "../../lib/credentials/settings.ts";
import { PREFIX_SENTENCE } from "../../lib/credentials/help.ts";
import { PRECEDENCE } from "../../lib/settings/precedence.ts";
import { ctlDocument } from "./ctl_document.ts";
import { formatMarkdown } from "./markdown.ts";
import { metricsDocument } from "./metrics_document.ts";
import { pluginDocument } from "./plugin_document.ts";
import { settingsDocument } from "./settings_document.ts";

/** The command that writes them. */
export const WRITE_COMMAND = "deno task docs";

const MARK = `<!-- Written by \`${WRITE_COMMAND}\` from the programs' tables. -->\n\n`;

/** The folder of the generated pages. */
export const REFERENCE = "docs/reference";

/** The agent's settings as the unit reads them. */
export const DEFAULTS_FILE = "deploy/systemd/calyx-agent.default";

/** Every generated file: its path from the project's root, and its text. */
export async function makeDocuments(): Promise<ReadonlyMap<string, string>> {
  const pages = {
    ctl: ctlDocument(),
    metrics: metricsDocument(),
    plugin: pluginDocument(),
    settings: settingsDocument(),
  };
  const documents = new Map([[DEFAULTS_FILE, makeDefaultsFile()]]);
  for (const [name, text] of Object.entries(pages)) {
    documents.set(`${REFERENCE}/${name}.md`, await formatMarkdown(`${MARK}${text}`));
  }
  return documents;
}

function makeDefaultsFile(): string {
  const own = Object.entries(CREDENTIALS).filter(([, row]) => "variablePrefix" in row);
  return [
    formatComment(
      "Settings of calyx-agent.service, each with its default or an example: take the # away, " +
        "and restart the agent. `calyx-agent --help` says the same. In Calyx' sources this file " +
        `is written by \`${WRITE_COMMAND}\`.`,
    ),
    formatComment(sentence(PRECEDENCE)),
    formatVariableFile(SETTINGS),
    formatComment(`How the API server is found. ${PREFIX_SENTENCE}`),
    formatVariableFile(Object.fromEntries(own)),
  ].join("\n");
}
