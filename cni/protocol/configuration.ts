/**
 * The network configuration that comes on stdin: what every command needs of it, and apart from that
 * our own settings, which only commands that build something read strictly. DEL must work whatever
 * became of the configuration since ADD. Key names are Calico's where it has the same setting; keys
 * that we do not know are allowed.
 */

import { CniError } from "./error.ts";
import { ID_REGEXP } from "./environment.ts";
import { Fields, isJsonObject, type JsonObject } from "./fields.ts";
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
  const { name, cniVersion = CNI_VERSION_UNSAID, ipam } = json;
  if (name === undefined || name === "") {
    throw new CniError("invalidConfiguration", "missing network name");
  }
  if (typeof name !== "string" || !ID_REGEXP.test(name)) {
    throw new CniError(
      "invalidConfiguration",
      `invalid characters in network name: "name" is ${JSON.stringify(name)}`,
    );
  }
  if (typeof cniVersion !== "string") {
    throw new CniError("decode", `"cniVersion" must be a text: got ${JSON.stringify(cniVersion)}`);
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
    throw new CniError("decode", "Cannot parse the network configuration: it is not JSON", {
      details: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
  if (isJsonObject(value)) return value;
  throw new CniError("decode", "Cannot parse the network configuration: it is no JSON object");
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
  /** How long ADD waits for the pod's policy; 0 = not at all: the pod starts closed. */
  readonly policyTimeoutMs: number;
  /** What ADD does when that time is over: fail, or let the pod start closed. */
  readonly policyTimeoutAction: "fail" | "closed";
  /** MTU of the pod's interface; `undefined` = the agent's, or the kernel's default. */
  readonly mtu: number | undefined;
  /** Whether the pod may forward packets between its own interfaces. */
  readonly allowIpForwarding: boolean;
  /** Default routes also where IPAM gave routes of its own. */
  readonly includeDefaultRoutes: boolean;
  readonly node: NodeSettings;
  readonly api: ApiSettings;
}

/** How the node's name is known; the first that is there counts. */
export interface NodeSettings {
  readonly name: string | undefined;
  readonly nameFile: string | undefined;
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

/**
 * Reads our settings, all of them, before it complains.
 *
 * @throws {CniError} code 2 for a value that we do not support, 7 for values that make no sense
 */
export function parseSettings({ json }: NetworkConfiguration): PluginSettings {
  const fields = new Fields(json);
  refuseUnsupported(json, "datastore_type", ["kubernetes"]);
  refuseUnsupported(json, "device_type", ["veth"]);
  const kubernetes = fields.object("kubernetes");
  const mtu = fields.integer("mtu");
  if (mtu !== undefined && mtu !== 0 && (mtu < MTU_MIN || mtu > MTU_MAX)) {
    fields.refuse("mtu", `0 (chosen for you) or ${MTU_MIN} to ${MTU_MAX}`);
  }
  const agentSocket = fields.text("agent_socket");
  if (agentSocket !== undefined && !agentSocket.startsWith("/")) {
    fields.refuse("agent_socket", "an absolute path");
  }
  const seconds = fields.integer("policy_setup_timeout_seconds");
  const action = fields.choice("policy_setup_timeout_action", ["fail", "closed"]);
  const containerSettings = fields.object("container_settings");
  const settings: PluginSettings = {
    agentSocket,
    policyTimeoutMs: (seconds ?? POLICY_TIMEOUT_SECONDS_DEFAULT) * 1000,
    policyTimeoutAction: action ?? "fail",
    mtu: mtu === 0 ? undefined : mtu,
    allowIpForwarding: containerSettings?.boolean("allow_ip_forwarding") ?? false,
    includeDefaultRoutes: fields.boolean("include_default_routes") ?? false,
    node: {
      name: fields.text("nodename") ?? kubernetes?.text("node_name") ?? fields.text("hostname"),
      nameFile: fields.text("nodename_file"),
    },
    api: readApiSettings(kubernetes, fields.object("policy")),
  };
  requireNoProblems(fields.problems);
  return settings;
}

function readApiSettings(kubernetes: Fields | undefined, policy: Fields | undefined): ApiSettings {
  const root = kubernetes?.text("k8s_api_root") ?? policy?.text("k8s_api_root");
  const settings = {
    kubeconfig: kubernetes?.text("kubeconfig"),
    // Old configurations name the API's version as part of the root.
    apiEndpoint: root?.replace(/\/api\/v1\/?$/, "").replace(/\/$/, ""),
    certFile: policy?.text("k8s_client_certificate"),
    keyFile: policy?.text("k8s_client_key"),
    caFile: policy?.text("k8s_certificate_authority"),
    token: policy?.text("k8s_auth_token"),
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

/** @throws {CniError} code 2 with key and value */
function refuseUnsupported(json: JsonObject, key: string, supported: readonly string[]): void {
  const value = json[key];
  if (value === undefined || value === null || value === "") return;
  if (typeof value === "string" && supported.includes(value)) return;
  throw new CniError("unsupportedField", `Unsupported "${key}": ${JSON.stringify(value)}`, {
    details: `"${key}" can be ${supported.map((it) => `"${it}"`).join(" or ")}, or be left out`,
  });
}

/** @throws {CniError} code 7, listing all of them */
export function requireNoProblems(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new CniError("invalidConfiguration", `Network configuration: ${problems.join("; ")}`);
}

/** The agent's socket for those who only take away: a wrong one is as good as none. */
export function readAgentSocket({ json }: NetworkConfiguration): string | undefined {
  const path = json.agent_socket;
  return typeof path === "string" && path.startsWith("/") ? path : undefined;
}

/** Where the log goes and how much of it; read leniently, since a log never stops a command. */
export interface LogSettings {
  /** `log_level`, as written. */
  readonly level: string | undefined;
  /** `log_file_path`; `undefined` = stderr. */
  readonly path: string | undefined;
}

/** Reads where to log. */
export function readLogSettings({ json }: NetworkConfiguration): LogSettings {
  const fields = new Fields(json);
  return { level: fields.text("log_level"), path: fields.text("log_file_path") };
}

/** An attachment that the runtime still knows: GC keeps it. */
export interface ValidAttachment {
  readonly containerId: string;
  readonly ifname: string;
}

/**
 * Reads `cni.dev/valid-attachments`. It must be there: an absent list is no reason to remove all.
 *
 * @throws {CniError} code 7 if it is missing or malformed
 */
export function parseValidAttachments({ json }: NetworkConfiguration): ValidAttachment[] {
  const key = "cni.dev/valid-attachments";
  const fields = new Fields(json);
  const list = fields.objects(key);
  if (list === undefined) fields.refuse(key, "a list of attachments");
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
