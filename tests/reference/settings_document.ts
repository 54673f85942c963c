/** docs/reference/settings.md: flags, variables and file keys. */

import { SETTINGS } from "../../agent/settings.ts";
import { INSTALLER_VARIABLES, SERVICE_VARIABLES } from "../../agent/variables.ts";
import { CONFIG_FILE } from "../../ctl/config_file.ts";
import { PREFIX_SENTENCE } from "../../lib/credentials/help.ts";
import { PROXY_SETTINGS } from "../../lib/credentials/proxy.ts";
import { RUNTIME_VARIABLES } from "../../lib/credentials/runtime_environment.ts";
import { CREDENTIAL_FLAGS, CREDENTIALS } from "../../lib/credentials/settings.ts";
import { sentence } from "../../lib/settings/help.ts";
import { PRECEDENCE } from "../../lib/settings/precedence.ts";
import {
  formatDefault,
  type Setting,
  type SettingTable,
  variablesOf,
} from "../../lib/settings/setting.ts";
import { code, formatSection, formatTable } from "./markdown.ts";

/** The page. */
export function settingsDocument(): string {
  const rows: readonly Setting<unknown>[] = Object.values(CREDENTIALS);
  return [
    formatSection(
      "# Settings",
      "What `calyx-agent`, `calyxctl` and `calyx` take from flags, files and the environment. " +
        "The plugin's configuration is in [plugin.md](plugin.md), the flags of `calyxctl` are in " +
        "[ctl.md](ctl.md).",
    ),
    formatSection(
      "## Which place counts",
      `${sentence(PRECEDENCE)} Where none of these names an API server, \`calyxctl\` takes ` +
        "`~/.kube/config` (in the folder that `HOME` names).",
    ),
    formatSection(
      "## The agent",
      "`calyx-agent` reads these as flags and variables; the variables stand in falling " +
        "priority. Under systemd the variables are in `/etc/default/calyx-agent`. A variable " +
        "`CALYX_…` that nothing reads is warned of in the log.",
      formatTable(
        ["Flag", "Variables", "Value", "Default", "Meaning"],
        Object.values<Setting<unknown>>(SETTINGS).map((row) => [
          code(row.flag && `--${row.flag}`),
          code(...variablesOf(row)),
          ...valueCells(row),
        ]),
      ),
    ),
    formatSection(
      "## The API server",
      `For all three programs; the plugin reads them only where it has no \`agent_socket\`. ` +
        `${PREFIX_SENTENCE} Flags: ${
          code(...Object.values(CREDENTIAL_FLAGS).map((it) => `--${it.flag}`))
        }. File keys are those of calicoctl's configuration file, which \`calyxctl\` reads ` +
        `(\`--config\`, or \`${CONFIG_FILE}\`).`,
      formatTable(
        ["Variables", "File key", "Flag", "Value", "Default", "Meaning"],
        rows.filter((it) => it.variablePrefix !== undefined).map((row) => [
          code(...row.variables ?? []),
          code(row.fileKey),
          code(row.flag && `--${row.flag}`),
          ...valueCells(row),
        ]),
      ),
    ),
    formatSection(
      "## In a pod",
      "What Kubernetes sets and mounts (`/var/run/secrets/kubernetes.io/serviceaccount`) counts " +
        "last.",
      variableTable(rows.filter((it) => it.fileKey === undefined)),
    ),
    formatSection(
      "## Proxies",
      "As kubectl reads them; a kubeconfig's `proxy-url` counts first.",
      variableTable(rowsOf(PROXY_SETTINGS)),
      `The runtime's own variables change nothing: ${code(...RUNTIME_VARIABLES)}.`,
    ),
    formatSection("## The service manager", variableTable(rowsOf(SERVICE_VARIABLES))),
    formatSection(
      "## The installer",
      "`install.sh` reads these.",
      variableTable(rowsOf(INSTALLER_VARIABLES)),
    ),
  ].join("");
}

function rowsOf(table: SettingTable): readonly Setting<unknown>[] {
  return Object.values(table);
}

function variableTable(rows: readonly Setting<unknown>[]): string {
  return formatTable(
    ["Variables", "Value", "Default", "Meaning"],
    rows.map((row) => [code(...variablesOf(row)), ...valueCells(row)]),
  );
}

/** Value, default and meaning. */
function valueCells(row: Setting<unknown>): readonly string[] {
  const typed = formatDefault(row);
  return [
    code(row.type.placeholder),
    typed === undefined ? row.unsaid ?? "" : code(typed),
    sentence(row.help),
  ];
}
