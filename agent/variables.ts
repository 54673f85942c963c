/**
 * Environment variables beside the settings: those of the service manager and of the installer, and those
 * with our prefix that nothing reads, for a misspelt one would change nothing and without a word. Those
 * that Kubernetes makes for a Service called `calyx…` are left out. Pure.
 */

import { nearestWord } from "../lib/base/nearest_word.ts";
import { setting, type SettingTable, variablesOf } from "../lib/settings/setting.ts";
import { text } from "../lib/settings/value_type.ts";

const PREFIX = "CALYX_";

/** Set by systemd, read by the agent. */
export const SERVICE_VARIABLES = {
  socket: setting({
    variables: ["NOTIFY_SOCKET"],
    type: text("PATH"),
    help: "where readiness and status are sent: sd_notify(3)",
  }),
  watchdog: setting({
    variables: ["WATCHDOG_USEC"],
    type: text("MICROSECONDS"),
    help: "how often the agent has to say that it works: sd_watchdog_enabled(3)",
  }),
  journal: setting({
    variables: ["JOURNAL_STREAM"],
    type: text("DEVICE:INODE"),
    help: "says that stderr is the journal: a line then begins with its severity, sd-daemon(3)",
  }),
} as const satisfies SettingTable;

/** Read by deploy's install.sh, which may share the agent's file of settings. */
export const INSTALLER_VARIABLES = {
  root: setting({
    variables: ["DESTDIR"],
    type: text("FOLDER"),
    help: "root of the file system to install into",
  }),
  from: setting({
    variables: ["CALYX_FROM"],
    type: text("FOLDER"),
    unsaid: "beside the script, or the checkout's dist",
    help: "where the executables are",
  }),
  plugins: setting({
    variables: ["CNI_BIN_DIR"],
    type: text("FOLDER"),
    default: "/opt/cni/bin",
    help: "where CNI plugins are",
  }),
  configurations: setting({
    variables: ["CNI_CONF_DIR"],
    type: text("FOLDER"),
    default: "/etc/cni/net.d",
    help: "where CNI configurations are",
  }),
  programs: setting({
    variables: ["BIN_DIR"],
    type: text("FOLDER"),
    default: "/usr/local/bin",
    help: "where calyx-agent and calyxctl go",
  }),
  configuration: setting({
    variables: ["CALYX_CNI_CONFIG"],
    type: text("FILE"),
    unsaid: "10-calyx.conflist beside the script, unless one is installed",
    help: "the plugin's configuration to install",
  }),
} as const satisfies SettingTable;

/** `X_SERVICE_HOST`, `X_SERVICE_PORT_HTTP`, `X_PORT_80_TCP_ADDR`: "Accessing the Service". */
const SERVICE_REGEXP = /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/;
const SERVICE_URL_REGEXP = /^(tcp|udp|sctp):\/\//;

/** A variable that is not known, and what may be meant. */
export interface UnknownVariable {
  readonly variable: string;
  readonly didYouMean: string | undefined;
}

/** Finds the variables with our prefix that are not among `known`. */
export function findUnknownVariables(
  environment: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): readonly UnknownVariable[] {
  const installer = Object.values(INSTALLER_VARIABLES).flatMap(variablesOf);
  const names = [...known, ...installer].filter((it) => it.startsWith(PREFIX));
  return Object.keys(environment)
    .filter((it) => it.toUpperCase().startsWith(PREFIX) && !names.includes(it))
    .filter((it) => !SERVICE_REGEXP.test(it) && !SERVICE_URL_REGEXP.test(environment[it] ?? ""))
    .sort()
    .map((variable) => ({ variable, didYouMean: nearestWord(variable, names) }));
}
