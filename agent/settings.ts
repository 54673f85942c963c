/**
 * The agent's settings: one table of flag, environment variables, parser and default, from which the
 * values, the errors and `--help` derive. Flags win over the environment. Credentials are not here:
 * `lib/credentials` reads its own.
 */

import { type Flags, parseFlags } from "../lib/base/flags.ts";
import { type LogLevel, parseLogLevel } from "../lib/base/log.ts";
import type { DenyAction } from "../lib/model/desired.ts";
import { INTERFACE_PREFIX } from "../lib/model/interface_name.ts";
import type { IpvsMode } from "./ipvs.ts";
import { formatNeeds } from "./kernel_need.ts";

/** What the agent runs with. */
export interface Settings {
  readonly nodeName: string;
  /** Whether it was given, and is not just the host name. */
  readonly isNodeNameGiven: boolean;
  readonly socketPath: string;
  readonly stateDir: string;
  readonly logLevel: LogLevel;
  readonly healthHost: string;
  /** 0 = no health and metrics server. */
  readonly healthPort: number;
  /** 0 = however long the API server is away, what is in force is in force. */
  readonly unreadyAfterMs: number;
  readonly interfacePrefix: string;
  /** 0 = the MTU of the interface of the default route. */
  readonly mtu: number;
  readonly resyncIntervalMs: number;
  readonly denyAction: DenyAction;
  readonly endpointToHostAction: "accept" | "drop";
  /** Whether a pod may send only from its own addresses. */
  readonly checksSource: boolean;
  readonly isolationAnnotation: boolean;
  /** Whether flows that a change of policy denies are cut. */
  readonly flowCut: boolean;
  /** Whether others are kept out of the table, where the kernel can. */
  readonly ownsTable: boolean;
  /** Whether policy looks at what the node sends on for others: where there is IPVS, always, never. */
  readonly ipvs: IpvsMode;
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
}

interface Row<T> {
  readonly flag: string;
  /** In falling priority; CALYX_ first, then Felix' names. */
  readonly environment: readonly string[];
  readonly fallback: T;
  readonly parse: (text: string) => T;
  readonly help: string;
}

function row<T>(
  flag: string,
  environment: readonly string[],
  fallback: T,
  parse: (text: string) => T,
  help: string,
): Row<T> {
  return { flag, environment, fallback, parse, help };
}

const text = (value: string): string => value;

const ROWS = {
  nodeName: row(
    "node-name",
    ["CALYX_NODE_NAME", "NODENAME", "KUBERNETES_NODE_NAME", "FELIX_FELIXHOSTNAME"],
    "",
    parseNodeName,
    "name of this machine's Node (default: the host name; nothing is enforced before it is there)",
  ),
  socketPath: row(
    "agent-socket",
    ["CALYX_AGENT_SOCKET"],
    "/run/calyx/agent.sock",
    parsePath,
    "unix socket on which the plugin asks",
  ),
  stateDir: row(
    "state-dir",
    ["CALYX_STATE_DIR"],
    "/run/calyx",
    parsePath,
    "folder for what must survive a restart of the agent",
  ),
  logLevel: row<LogLevel>(
    "log-level",
    ["CALYX_LOG_LEVEL", "FELIX_LOGSEVERITYSCREEN"],
    "info",
    parseLogLevel,
    "error, warn, info or debug",
  ),
  healthHost: row(
    "health-host",
    ["CALYX_HEALTH_HOST", "FELIX_HEALTHHOST"],
    "127.0.0.1",
    text,
    "address of /healthz, /readyz and /metrics",
  ),
  healthPort: row(
    "health-port",
    ["CALYX_HEALTH_PORT", "FELIX_HEALTHPORT"],
    9099,
    parseInteger(0, 65535),
    "port of /healthz, /readyz and /metrics; 0 = none",
  ),
  unreadyAfterMs: row(
    "unready-after",
    ["CALYX_UNREADY_AFTER"],
    0,
    parseSeconds,
    "seconds without the API server after which /readyz says 503; 0 = never",
  ),
  interfacePrefix: row(
    "interface-prefix",
    ["CALYX_INTERFACE_PREFIX", "FELIX_INTERFACEPREFIX"],
    INTERFACE_PREFIX,
    parseInterfacePrefix,
    "prefix of the pods' host interfaces",
  ),
  mtu: row(
    "mtu",
    ["CALYX_MTU", "FELIX_MTU"],
    0,
    parseMtu,
    "MTU of the pods' interfaces; 0 = that of the default route's",
  ),
  resyncIntervalMs: row(
    "resync-interval",
    ["CALYX_RESYNC_INTERVAL", "FELIX_NFTABLESREFRESHINTERVAL"],
    90_000,
    parseSeconds,
    "seconds between full comparisons with the kernel; 0 = never",
  ),
  denyAction: row<DenyAction>(
    "deny-action",
    ["CALYX_DENY_ACTION", "FELIX_NFTABLESFILTERDENYACTION", "FELIX_IPTABLESFILTERDENYACTION"],
    "drop",
    parseChoice("drop", "reject"),
    "drop or reject denied packets; a namespace's annotation calyx.io/deny-action wins",
  ),
  endpointToHostAction: row<"accept" | "drop">(
    "endpoint-to-host-action",
    ["CALYX_ENDPOINT_TO_HOST_ACTION", "FELIX_DEFAULTENDPOINTTOHOSTACTION"],
    "accept",
    parseEndpointToHostAction,
    "accept or drop connections of pods to their own node",
  ),
  checksSource: row(
    "workload-source-spoofing",
    ["CALYX_WORKLOAD_SOURCE_SPOOFING", "FELIX_WORKLOADSOURCESPOOFING"],
    true,
    (value) => parseChoice("disabled", "any")(value) === "disabled",
    "disabled: pods send from their own addresses only; any: from any",
  ),
  isolationAnnotation: row(
    "isolation-annotation",
    ["CALYX_ISOLATION_ANNOTATION"],
    false,
    (value) => parseChoice("on", "off")(value) === "on",
    "on: net.beta.kubernetes.io/network-policy DefaultDeny isolates a namespace",
  ),
  flowCut: row(
    "flow-cut",
    ["CALYX_FLOW_CUT"],
    true,
    (value) => parseChoice("on", "off")(value) === "on",
    "on: a change of policy cuts the flows that it denies; off: they live until they end",
  ),
  ownsTable: row(
    "table-owner",
    ["CALYX_TABLE_OWNER"],
    true,
    (value) => parseChoice("on", "off")(value) === "on",
    "on: nobody else can change table inet calyx (Linux 6.9); off: changes are undone",
  ),
  ipvs: row<IpvsMode>(
    "ipvs",
    ["CALYX_IPVS"],
    "auto",
    parseChoice("auto", "on", "off"),
    "policy for what IPVS sends to pods: auto where the kernel has IPVS, on, off",
  ),
} as const;

/** Every environment variable that a setting reads. */
export const VARIABLES: readonly string[] = Object.values(ROWS).flatMap((it) => it.environment);

const CREDENTIAL_FLAGS: Readonly<Record<string, string>> = {
  kubeconfig: "kubeconfig file (or KUBECONFIG, K8S_API_ENDPOINT and K8S_*, or in-cluster)",
  context: "context of the kubeconfig",
};

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
  environment: Readonly<Record<string, string | undefined>>,
  hostname: string,
): Command {
  const flags = parseFlags(args, {
    boolean: ["help", "version"],
    string: [...Object.values(ROWS).map((it) => it.flag), ...Object.keys(CREDENTIAL_FLAGS)],
    alias: { h: "help", v: "version" },
  });
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
  // Of the node nothing is asked, so that a machine without a proper name can be cleaned up too.
  return { kind: "cleanup", settings: readSettings(flags, environment, "localhost") };
}

/** The text of `--help`. */
export function formatHelp(): string {
  const rows = Object.values(ROWS).map((it) => [
    `--${it.flag} VALUE`,
    `${it.help}${it.fallback === "" ? "" : ` [${it.fallback}]`}; ${it.environment.join(", ")}`,
  ]);
  const credentials = Object.entries(CREDENTIAL_FLAGS).map(([flag, help]) => [
    `--${flag} VALUE`,
    help,
  ]);
  return [
    "calyx-agent: enforces NetworkPolicy on this node, in the kernel.",
    "",
    "Usage: calyx-agent [run] [flags]    watch the API server and enforce, until it is stopped",
    "       calyx-agent cleanup [flags]  remove everything that it made in the kernel",
    "",
    ...[...rows, ...credentials, ["--version", "print the version"], ["--help", "print this"]]
      .map(([flag = "", help = ""]) => `  ${flag.padEnd(26)}${help}`),
    "",
    ...formatNeeds(),
    "",
  ].join("\n");
}

function readSettings(
  flags: Flags,
  environment: Readonly<Record<string, string | undefined>>,
  hostname: string,
): Settings {
  const read = <T>(row: Row<T>): T => readRow(row, flags, environment);
  return {
    nodeName: read(ROWS.nodeName) || parseNodeName(hostname),
    isNodeNameGiven: read(ROWS.nodeName) !== "",
    socketPath: read(ROWS.socketPath),
    stateDir: read(ROWS.stateDir),
    logLevel: read(ROWS.logLevel),
    healthHost: read(ROWS.healthHost),
    healthPort: read(ROWS.healthPort),
    unreadyAfterMs: read(ROWS.unreadyAfterMs),
    interfacePrefix: read(ROWS.interfacePrefix),
    mtu: read(ROWS.mtu),
    resyncIntervalMs: read(ROWS.resyncIntervalMs),
    denyAction: read(ROWS.denyAction),
    endpointToHostAction: read(ROWS.endpointToHostAction),
    checksSource: read(ROWS.checksSource),
    isolationAnnotation: read(ROWS.isolationAnnotation),
    flowCut: read(ROWS.flowCut),
    ownsTable: read(ROWS.ownsTable),
    ipvs: read(ROWS.ipvs),
    kubeconfig: flags.get("kubeconfig"),
    context: flags.get("context"),
  };
}

function readRow<T>(
  row: Row<T>,
  flags: Flags,
  environment: Readonly<Record<string, string | undefined>>,
): T {
  const flag = flags.get(row.flag);
  if (flag !== undefined) return parseNamed(`--${row.flag}`, flag, row.parse);
  for (const name of row.environment) {
    const value = environment[name];
    if (value !== undefined && value !== "") return parseNamed(name, value, row.parse);
  }
  return row.fallback;
}

function parseNamed<T>(name: string, value: string, parse: (text: string) => T): T {
  try {
    return parse(value);
  } catch (error) {
    throw new RangeError(`${name}: ${error instanceof Error ? error.message : error}`);
  }
}

function parseNodeName(value: string): string {
  const name = value.trim().toLowerCase();
  if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) || name.length > 253) {
    throw new RangeError(`Node name must be a DNS name: got "${value}"`);
  }
  return name;
}

function parsePath(value: string): string {
  if (!value.startsWith("/")) throw new RangeError(`Path must be absolute: got "${value}"`);
  return value;
}

function parseInterfacePrefix(value: string): string {
  if (!/^[a-zA-Z][-a-zA-Z0-9_]{0,7}$/.test(value)) {
    throw new RangeError(`Interface prefix must be 1 to 8 letters or digits: got "${value}"`);
  }
  return value;
}

function parseInteger(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value.trim()) || number < least || number > most) {
      throw new RangeError(`Number must be from ${least} to ${most}: got "${value}"`);
    }
    return number;
  };
}

function parseChoice<T extends string>(...choices: readonly T[]): (value: string) => T {
  return (value) => {
    const choice = choices.find((it) => it === value.trim().toLowerCase());
    if (choice !== undefined) return choice;
    throw new RangeError(`Value must be ${choices.join(" or ")}: got "${value}"`);
  };
}

/** Felix also says RETURN: what the host's own rules say, which our accept never overrules. */
function parseEndpointToHostAction(value: string): "accept" | "drop" {
  return parseChoice("accept", "drop", "return")(value) === "drop" ? "drop" : "accept";
}

function parseMtu(value: string): number {
  const mtu = parseInteger(0, 65535)(value);
  if (mtu !== 0 && mtu < 1280) throw new RangeError(`MTU must be 0 or at least 1280: got ${mtu}`);
  return mtu;
}

function parseSeconds(value: string): number {
  const match = /^(\d+(?:\.\d+)?)s?$/.exec(value.trim());
  if (match === null) throw new RangeError(`Duration must be seconds: got "${value}"`);
  return Math.round(Number(match[1]) * 1000);
}
