/**
 * The network configuration that comes on stdin: what every command needs of it, and apart from that
 * our own settings, which only commands that build something read strictly. DEL must work whatever
 * became of the configuration since ADD. Key names are Calico's where it has the same setting; keys
 * that we do not know are allowed.
 */

import { parseLogLevel } from "../../lib/base/log.ts";
import { INTERFACE_PREFIX } from "../../lib/model/interface_name.ts";
import { refuseUnsupported } from "./calico_keys.ts";
import { CniError } from "./error.ts";
import { ID_REGEXP } from "./environment.ts";
import { describeValue, Fields, isJsonObject, type JsonObject } from "./fields.ts";
import { readDns, type ResultDns } from "./result.ts";
import { CNI_VERSION_UNSAID, type CniVersion, parseCniVersion } from "./version.ts";

/** What every command needs. */
export interface NetworkConfiguration {
  readonly cniVersion: CniVersion;
  /** Name of the network: part of file names. */
  readonly name: string;
  /** `ipam.type`; `undefined` where there is none. */
  readonly ipamType: string | undefined;
  /** The whole object, for delegates and for the readers of single parts. */
  readonly json: JsonObject;
}

/**
 * Parses the configuration.
 *
 * @throws {CniError} code 6 if it is no JSON object, 7 if it has no proper name, 1 if its version is
 * not supported
 */
export function parseConfiguration(text: string): NetworkConfiguration {
  const json = decodeObject(text);
  const { name, ipam } = json;
  const cniVersion = json.cniVersion ?? CNI_VERSION_UNSAID;
  if (name === undefined || name === null || name === "") {
    throw new CniError("invalidConfiguration", "missing network name");
  }
  if (typeof name !== "string" || !ID_REGEXP.test(name)) {
    throw new CniError(
      "invalidConfiguration",
      `invalid characters in network name: "name" is ${describeValue(name)}`,
    );
  }
  if (typeof cniVersion !== "string") {
    throw new CniError("decode", `"cniVersion" must be a text: got ${describeValue(cniVersion)}`);
  }
  const type = isJsonObject(ipam) ? ipam.type : undefined;
  return {
    cniVersion: parseCniVersion(cniVersion || CNI_VERSION_UNSAID),
    name,
    ipamType: typeof type === "string" && type !== "" ? type : undefined,
    json,
  };
}

function decodeObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Without its cause, which quotes the text around: there may be a token in it.
    throw new CniError("decode", "Cannot parse the network configuration: it is not JSON", {
      details: error instanceof Error ? withoutQuotation(error.message) : String(error),
    });
  }
  if (isJsonObject(value)) return value;
  throw new CniError("decode", "Cannot parse the network configuration: it is no JSON object");
}

/** What V8 says of a text that is no JSON: `Unexpected token 's', ..."token":secret}"... is not …`. */
function withoutQuotation(message: string): string {
  return message.replace(/, (\.\.\.)?".*$/s, "");
}

/**
 * The `cniVersion` in whatever is on stdin, for VERSION and for errors, which need no more of it;
 * `undefined` where there is none.
 */
export function peekVersion(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const version = isJsonObject(value) ? value.cniVersion : undefined;
    return typeof version === "string" && version !== "" ? version : undefined;
  } catch {
    return undefined;
  }
}

/** Our settings. */
export interface PluginSettings {
  /** The agent's unix socket; `undefined` = read the node from the API server, wait for no policy. */
  readonly agentSocket: string | undefined;
  /** Name resolution; what is said here counts instead of IPAM's. */
  readonly dns: ResultDns;
  /** How long ADD waits for the pod's policy. */
  readonly policyTimeoutMs: number;
  /** Whether the pod starts all the same when that time is over, closed; otherwise ADD fails. */
  readonly startsClosed: boolean;
  /** What the host's interfaces of pods begin with; the agent's `--interface-prefix` is the same. */
  readonly interfacePrefix: string;
  /** MTU of the pod's interface; `undefined` = the agent's, or the kernel's default. */
  readonly mtu: number | undefined;
  /** Whether the pod may forward packets between its own interfaces. */
  readonly allowIpForwarding: boolean;
  /** Default routes also where IPAM gave routes of its own. */
  readonly includeDefaultRoutes: boolean;
  readonly node: NodeSettings;
  readonly api: ApiSettings;
}

/** How the node's name is known: the first that is there counts, and then the machine's own. */
export interface NodeSettings {
  /** `nodename`, or `kubernetes.node_name`. */
  readonly name?: string;
  /** `nodename_file`: a file with nothing but the name. */
  readonly nameFile?: string;
  /** `nodename_file_optional`: whether that file may be missing. */
  readonly nameFileOptional?: boolean;
  /** `hostname`, an older key. */
  readonly hostname?: string;
}

/** How to reach the API server: the configuration's part of it. */
export interface ApiSettings {
  readonly kubeconfig?: string;
  readonly apiEndpoint?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly caFile?: string;
  readonly token?: string;
}

/** Bounds of an MTU: IPv6 needs 1280 (RFC 8200); a veth takes at most 65535. */
const MTU_MIN = 1280;
const MTU_MAX = 65_535;
const POLICY_TIMEOUT_SECONDS_DEFAULT = 10;
/** As long as the agent lets somebody wait, and runtimes about as well. */
const POLICY_TIMEOUT_SECONDS_MAX = 120;
/** `sizeof(sun_path)` − 1, <linux/un.h>. */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * Reads our settings, all of them, before it complains.
 *
 * @throws {CniError} code 2 for a value that we do not support, 7 for values that make no sense
 */
export function parseSettings({ json }: NetworkConfiguration): PluginSettings {
  const fields = new Fields(json);
  refuseUnsupported(json);
  const kubernetes = fields.object("kubernetes");
  const mtu = fields.integer("mtu");
  if (mtu !== undefined && mtu !== 0 && (mtu < MTU_MIN || mtu > MTU_MAX)) {
    fields.refuse("mtu", `0 (chosen for you) or ${MTU_MIN} to ${MTU_MAX}`);
  }
  const agentSocket = fields.text("agent_socket");
  if (agentSocket !== undefined && !isSocketPath(agentSocket)) {
    fields.refuse("agent_socket", `an absolute path of at most ${SOCKET_PATH_BYTES_MAX} bytes`);
  }
  if (fields.boolean("require_mtu_file") === true && agentSocket === undefined && !mtu) {
    fields.refuse("require_mtu_file", `false without "agent_socket" or "mtu", which say the MTU`);
  }
  const seconds = fields.integer("policy_setup_timeout_seconds");
  if (seconds !== undefined && seconds > POLICY_TIMEOUT_SECONDS_MAX) {
    fields.refuse(
      "policy_setup_timeout_seconds",
      `at most ${POLICY_TIMEOUT_SECONDS_MAX}, which is as long as calyx-agent waits`,
    );
  }
  const action = fields.choice("policy_setup_timeout_action", ["fail", "closed"]);
  const containerSettings = fields.object("container_settings");
  const settings: PluginSettings = {
    agentSocket,
    dns: readDns(fields),
    policyTimeoutMs: (seconds ?? POLICY_TIMEOUT_SECONDS_DEFAULT) * 1000,
    startsClosed: action === "closed" || seconds === 0,
    interfacePrefix: readInterfacePrefix(fields),
    mtu: mtu === 0 ? undefined : mtu,
    allowIpForwarding: containerSettings?.boolean("allow_ip_forwarding") ?? false,
    includeDefaultRoutes: fields.boolean("include_default_routes") ?? false,
    node: readNodeSettings(fields, kubernetes),
    api: readApiSettings(kubernetes, fields.object("policy")),
  };
  readLog(fields);
  requireNoProblems(fields.problems);
  return settings;
}

function isSocketPath(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") &&
    new TextEncoder().encode(path).length <= SOCKET_PATH_BYTES_MAX;
}

function readNodeSettings(fields: Fields, kubernetes: Fields | undefined): NodeSettings {
  return withoutUnsaid({
    name: fields.text("nodename") ?? kubernetes?.text("node_name"),
    nameFile: fields.text("nodename_file"),
    nameFileOptional: fields.boolean("nodename_file_optional"),
    hostname: fields.text("hostname"),
  });
}

function readApiSettings(kubernetes: Fields | undefined, policy: Fields | undefined): ApiSettings {
  const root = kubernetes?.text("k8s_api_root") ?? policy?.text("k8s_api_root");
  return withoutUnsaid({
    kubeconfig: kubernetes?.text("kubeconfig"),
    // Old configurations name the API's version as part of the root.
    apiEndpoint: root?.replace(/\/api\/v1\/?$/, "").replace(/\/$/, ""),
    certFile: policy?.text("k8s_client_certificate"),
    keyFile: policy?.text("k8s_client_key"),
    caFile: policy?.text("k8s_certificate_authority"),
    token: policy?.secret("k8s_auth_token"),
  });
}

/** The fields that are said. */
function withoutUnsaid<T extends Readonly<Record<string, string | boolean | undefined>>>(
  fields: T,
): { readonly [K in keyof T]?: NonNullable<T[K]> } {
  const said = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** @throws {CniError} code 7, listing all of them */
export function requireNoProblems(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new CniError("invalidConfiguration", `Network configuration: ${problems.join("; ")}`);
}

/** The agent's socket for those who only take away: a wrong one is as good as none. */
export function readAgentSocket({ json }: NetworkConfiguration): string | undefined {
  const path = json.agent_socket;
  return typeof path === "string" && isSocketPath(path) ? path : undefined;
}

function readInterfacePrefix(fields: Fields): string {
  const prefix = fields.text("interface_prefix") ?? INTERFACE_PREFIX;
  if (!/^[a-zA-Z][-a-zA-Z0-9_]{0,7}$/.test(prefix)) {
    fields.refuse("interface_prefix", "a letter and up to 7 letters, digits, - and _");
  }
  return prefix;
}

/** Where the log goes and how much of it; read leniently, since a log never stops a command. */
export interface LogSettings {
  /** `log_level`, as written. */
  readonly level: string | undefined;
  /** `log_file_path`; `undefined` = stderr alone. */
  readonly path: string | undefined;
  /** `log_file_max_size`, `log_file_max_count`, `log_file_max_age`. */
  readonly bytesMax: number;
  readonly countMax: number;
  readonly ageMsMax: number;
}

/** Calico's defaults, for what is unsaid and, as there, for 0. */
const LOG_FILE_MEBIBYTES_MAX = 100;
const LOG_FILE_COUNT_MAX = 10;
const LOG_FILE_DAYS_MAX = 30;
const MEBIBYTE = 1 << 20;
const DAY_MS = 86_400_000;

/** Reads where to log; what is wrong counts as unsaid. */
export function readLogSettings({ json }: NetworkConfiguration): LogSettings {
  return readLog(new Fields(json));
}

/** Where to log before the configuration is read. */
export const LOG_SETTINGS_UNSAID: LogSettings = readLog(new Fields({}));

function readLog(fields: Fields): LogSettings {
  const isAbsolute = (text: string): string | undefined => text.startsWith("/") ? text : undefined;
  return {
    level: fields.parsed("log_level", "debug, info, warning or error", knownLevel),
    path: fields.parsed("log_file_path", "an absolute path", isAbsolute),
    bytesMax: (fields.integer("log_file_max_size") || LOG_FILE_MEBIBYTES_MAX) * MEBIBYTE,
    countMax: fields.integer("log_file_max_count") || LOG_FILE_COUNT_MAX,
    ageMsMax: (fields.integer("log_file_max_age") || LOG_FILE_DAYS_MAX) * DAY_MS,
  };
}

function knownLevel(text: string): string | undefined {
  try {
    return parseLogLevel(text);
  } catch {
    return undefined;
  }
}

/** An attachment that the runtime still knows: GC keeps it. */
export interface ValidAttachment {
  readonly containerId: string;
  readonly ifname: string;
}

/**
 * Reads `cni.dev/valid-attachments`. It must be there: an absent list is no reason to remove all. One
 * that is null is there, and empty: libcni writes so when the runtime has no container.
 *
 * @throws {CniError} code 7 if it is missing or malformed
 */
export function parseValidAttachments({ json }: NetworkConfiguration): ValidAttachment[] {
  const key = "cni.dev/valid-attachments";
  const fields = new Fields(json);
  const list = fields.objects(key);
  if (!Object.hasOwn(json, key)) fields.refuse(key, "a list of attachments");
  const attachments = (list ?? []).map((it) => ({
    containerId: it.required("containerID", "a container id", asIs) ?? "",
    ifname: it.required("ifname", "an interface name", asIs) ?? "",
  }));
  requireNoProblems(fields.problems);
  return attachments;
}

function asIs(text: string): string {
  return text;
}
