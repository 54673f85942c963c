/**
 * The agent's settings, a row each: the values, their types, the errors, `--help`, the file of defaults and
 * docs/reference/settings.md are made from the rows. How the API server is reached: `lib/credentials`.
 */

import { type Flags, parseFlags } from "../lib/base/flags.ts";
import { formatCredentialHelp } from "../lib/credentials/help.ts";
import { CREDENTIAL_FLAGS } from "../lib/credentials/settings.ts";
import type { DenyAction } from "../lib/model/desired.ts";
import { INTERFACE_PREFIX } from "../lib/model/interface_name.ts";
import { formatFlags } from "../lib/settings/help.ts";
import { type Environment, flagSpecOf, readValues } from "../lib/settings/read.ts";
import { setting, type SettingTable, type ValuesOf, variablesOf } from "../lib/settings/setting.ts";
import {
  absolutePath,
  checkedText,
  choice,
  either,
  integer,
  logLevel,
  onOff,
  seconds,
  switched,
  text,
} from "../lib/settings/value_type.ts";
import type { IpvsMode } from "./ipvs.ts";
import { formatNeeds } from "./kernel_need.ts";

/** Every setting of the agent but its credentials. A new one is a new row. */
export const SETTINGS = {
  nodeName: setting({
    flag: "node-name",
    variables: ["CALYX_NODE_NAME", "NODENAME", "KUBERNETES_NODE_NAME", "FELIX_FELIXHOSTNAME"],
    type: checkedText("NAME", parseNodeName),
    unsaid: "the host name",
    help: "name of this machine's Node; the agent enforces nothing until it exists",
  }),
  socketPath: setting({
    flag: "agent-socket",
    variables: ["CALYX_AGENT_SOCKET"],
    type: absolutePath,
    default: "/run/calyx/agent.sock",
    help: "unix socket on which the agent serves the plugin",
  }),
  stateDir: setting({
    flag: "state-dir",
    variables: ["CALYX_STATE_DIR"],
    type: absolutePath,
    default: "/run/calyx",
    help: "folder for state that survives a restart of the agent",
  }),
  logLevel: setting({
    flag: "log-level",
    variables: ["CALYX_LOG_LEVEL", "FELIX_LOGSEVERITYSCREEN"],
    type: logLevel,
    default: "info",
    help: "log level",
  }),
  healthHost: setting({
    flag: "health-host",
    variables: ["CALYX_HEALTH_HOST", "FELIX_HEALTHHOST"],
    type: text("ADDRESS"),
    default: "127.0.0.1",
    help: "address of /healthz, /readyz and /metrics",
  }),
  healthPort: setting({
    flag: "health-port",
    variables: ["CALYX_HEALTH_PORT", "FELIX_HEALTHPORT"],
    type: integer("PORT", 0, 65_535),
    default: 9099,
    help: "port of /healthz, /readyz and /metrics; 0 = none",
  }),
  /** 0 = the agent stays ready however long the API server is away, since policy stays in force. */
  unreadyAfterMs: setting({
    flag: "unready-after",
    variables: ["CALYX_UNREADY_AFTER"],
    type: seconds,
    default: 0,
    help: "seconds without the API server after which /readyz says 503; 0 = never",
  }),
  interfacePrefix: setting({
    flag: "interface-prefix",
    variables: ["CALYX_INTERFACE_PREFIX", "FELIX_INTERFACEPREFIX"],
    type: checkedText("TEXT", parseInterfacePrefix),
    default: INTERFACE_PREFIX,
    help: "prefix of the pods' host interfaces",
  }),
  mtu: setting({
    flag: "mtu",
    variables: ["CALYX_MTU", "FELIX_MTU"],
    type: { ...integer("BYTES", 0, 65_535), parse: parseMtu },
    default: 0,
    help: "MTU of the pods' interfaces; 0 = that of the default route's",
  }),
  resyncIntervalMs: setting({
    flag: "resync-interval",
    variables: ["CALYX_RESYNC_INTERVAL", "FELIX_NFTABLESREFRESHINTERVAL"],
    type: seconds,
    default: 90_000,
    help: "seconds between full comparisons with the kernel; 0 = never",
  }),
  denyAction: setting({
    flag: "deny-action",
    variables: ["CALYX_DENY_ACTION"]
      .concat("FELIX_NFTABLESFILTERDENYACTION", "FELIX_IPTABLESFILTERDENYACTION"),
    type: choice<DenyAction>("drop", "reject"),
    default: "drop",
    help: "drop or reject denied packets; a namespace's annotation calyx.io/deny-action wins",
  }),
  endpointToHostAction: setting({
    flag: "endpoint-to-host-action",
    variables: ["CALYX_ENDPOINT_TO_HOST_ACTION", "FELIX_DEFAULTENDPOINTTOHOSTACTION"],
    type: { ...choice("accept", "drop"), parse: parseEndpointToHostAction },
    default: "accept",
    help: "accept or drop connections of pods to their own node",
  }),
  /** Whether a pod may send only from its own addresses. */
  checksSource: setting({
    flag: "workload-source-spoofing",
    variables: ["CALYX_WORKLOAD_SOURCE_SPOOFING", "FELIX_WORKLOADSOURCESPOOFING"],
    type: either("disabled", "any"),
    default: true,
    help: "disabled: pods send from their own addresses only; any: from any",
  }),
  isolationAnnotation: setting({
    flag: "isolation-annotation",
    variables: ["CALYX_ISOLATION_ANNOTATION"],
    type: onOff,
    default: false,
    help: "on: net.beta.kubernetes.io/network-policy DefaultDeny isolates a namespace",
  }),
  flowCut: setting({
    flag: "flow-cut",
    variables: ["CALYX_FLOW_CUT"],
    type: onOff,
    default: true,
    help: "on: a change of policy cuts the flows that it denies; off: they live until they end",
  }),
  /** Whether other processes are kept out of the table, where the kernel can. */
  ownsTable: setting({
    flag: "table-owner",
    variables: ["CALYX_TABLE_OWNER"],
    type: onOff,
    default: true,
    help: "on: no other process can change table inet calyx (Linux 6.9); off: changes are undone",
  }),
  /** Whether policy judges, in the output hook, packets that the node sends on for Services. */
  ipvs: setting({
    flag: "ipvs",
    variables: ["CALYX_IPVS"],
    type: choice<IpvsMode>("auto", "on", "off"),
    default: "auto",
    help: "whether policy judges what IPVS sends to pods; auto: if the kernel has IPVS",
  }),
} as const satisfies SettingTable;

const COMMAND_FLAGS = {
  version: setting({
    flag: "version",
    letter: "v",
    type: switched,
    default: false,
    help: "print the version",
  }),
  help: setting({
    flag: "help",
    letter: "h",
    type: switched,
    default: false,
    help: "print this help",
  }),
} as const satisfies SettingTable;

/** The values of {@link SETTINGS}, which describes each; a unit is part of the name. */
export interface Settings
  extends Omit<ValuesOf<typeof SETTINGS>, "nodeName">, ValuesOf<typeof CREDENTIAL_FLAGS> {
  readonly nodeName: string;
  /** Whether it was given, and is not just the host name. */
  readonly isNodeNameGiven: boolean;
}

/** Every environment variable that a setting reads. */
export const VARIABLES: readonly string[] = Object.values(SETTINGS).flatMap(variablesOf);

const FLAGS = { ...SETTINGS, ...CREDENTIAL_FLAGS, ...COMMAND_FLAGS } as const;

/** What the command line asks for. */
export type Command =
  | { readonly kind: "run"; readonly settings: Settings }
  | { readonly kind: "cleanup"; readonly settings: Settings }
  | { readonly kind: "help" | "version" };

/**
 * Parses the command line and the environment.
 *
 * @throws {SyntaxError | RangeError} one sentence naming the setting, its value and what it may be
 */
export function parseCommand(
  args: readonly string[],
  environment: Environment,
  hostname: string,
): Command {
  const flags = parseFlags(args, flagSpecOf(FLAGS));
  if (flags.has("help")) return { kind: "help" };
  if (flags.has("version")) return { kind: "version" };
  const [word, ...rest] = flags.words;
  if ((word !== undefined && word !== "run" && word !== "cleanup") || rest.length > 0) {
    throw new SyntaxError(
      `Unknown command "${flags.words.join(" ")}": run (the default) or cleanup`,
    );
  }
  if (word !== "cleanup") {
    return { kind: "run", settings: readSettings(flags, environment, hostname) };
  }
  // The node's name is not checked, so that cleanup also works on a machine without a valid name.
  return { kind: "cleanup", settings: readSettings(flags, environment, "localhost") };
}

/** The text of `--help`. */
export function formatHelp(): string {
  return [
    "calyx-agent: enforces NetworkPolicy on this node, in the kernel.",
    "",
    "Usage: calyx-agent [run] [flags]    watch the API server and enforce, until it is stopped",
    "       calyx-agent cleanup [flags]  remove everything that it made in the kernel",
    "",
    formatFlags(FLAGS, { withVariables: true }),
    formatCredentialHelp(),
    ...formatNeeds(),
    "",
  ].join("\n");
}

function readSettings(
  flags: Flags,
  environment: Environment,
  hostname: string,
): Settings {
  const values = readValues(SETTINGS, flags, environment);
  return {
    ...values,
    nodeName: values.nodeName ?? parseNodeName(hostname),
    isNodeNameGiven: values.nodeName !== undefined,
    ...readValues(CREDENTIAL_FLAGS, flags),
  };
}

function parseNodeName(value: string): string {
  const name = value.trim().toLowerCase();
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) || name.length > 253) {
    throw new RangeError(`Node name must be a DNS name: got "${value}"`);
  }
  return name;
}

function parseInterfacePrefix(value: string): string {
  if (!/^[a-zA-Z][-a-zA-Z0-9_]{0,7}$/.test(value)) {
    throw new RangeError(`Interface prefix must be 1 to 8 letters or digits: got "${value}"`);
  }
  return value;
}

/** Felix also has RETURN (the host's own rules decide), which is the same here: our accept is not final. */
function parseEndpointToHostAction(value: string): "accept" | "drop" {
  return choice("accept", "drop", "return").parse(value) === "drop" ? "drop" : "accept";
}

function parseMtu(value: string): number {
  const mtu = integer("BYTES", 0, 65_535).parse(value);
  if (mtu !== 0 && mtu < 1280) throw new RangeError(`MTU must be 0 or at least 1280: got ${mtu}`);
  return mtu;
}
