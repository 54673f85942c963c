/**
 * The network configuration that comes on stdin: what every command needs of it, and apart from that
 * our own settings, which only commands that build something read strictly. DEL must work whatever
 * became of the configuration since ADD. Key names are Calico's where it has the same setting; keys
 * that we do not know are allowed.
 */

import { refuseUnsupported } from "./calico_keys.ts";
import { CniError } from "./error.ts";
import { ID_REGEXP } from "./environment.ts";
import { describeValue, Fields, isJsonObject, type JsonObject } from "./fields.ts";
import { KeyReader, type KeyValues } from "./key.ts";
import { API_KEYS, isSocketPath, LOG_KEYS, NODE_KEYS, PLUGIN_KEYS } from "./keys.ts";
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

/** Our settings: the values of {@link PLUGIN_KEYS}, and those that several keys decide together. */
export interface PluginSettings extends KeyValues<typeof PLUGIN_KEYS> {
  /** Name resolution; if configured, it replaces IPAM's. */
  readonly dns: ResultDns;
  /** Whether a pod whose policy is late starts closed; otherwise ADD fails. */
  readonly startsClosed: boolean;
  readonly node: NodeSettings;
  readonly api: ApiSettings;
}

/** The sources of the node's name, in order; the last is the machine's host name. */
export type NodeSettings = Said<Omit<KeyValues<typeof NODE_KEYS>, "kubernetesName">>;

/** How to reach the API server: the configuration's part of it. */
export type ApiSettings = Said<
  Omit<KeyValues<typeof API_KEYS>, "apiRoot" | "policyApiRoot"> & {
    readonly apiEndpoint: string | undefined;
  }
>;

/**
 * Reads our settings, all of them, before it complains.
 *
 * @throws {CniError} code 2 for a value that we do not support, 7 for values that make no sense
 */
export function parseSettings({ json }: NetworkConfiguration): PluginSettings {
  const fields = new Fields(json);
  refuseUnsupported(json);
  const reader = new KeyReader(fields);
  const values = reader.read(PLUGIN_KEYS);
  const { requiresMtu, policyTimeoutMs, policyTimeoutAction } = values;
  if (requiresMtu && !json.agent_socket && !json.mtu) {
    fields.refuse("require_mtu_file", `false without "agent_socket" or "mtu", which say the MTU`);
  }
  const settings: PluginSettings = {
    ...values,
    dns: readDns(fields),
    startsClosed: policyTimeoutAction === "closed" || policyTimeoutMs === 0,
    node: nodeSettingsOf(reader.read(NODE_KEYS)),
    api: apiSettingsOf(reader.read(API_KEYS)),
  };
  reader.read(LOG_KEYS);
  requireNoProblems(fields.problems);
  return settings;
}

function nodeSettingsOf(
  { name, kubernetesName, ...rest }: KeyValues<typeof NODE_KEYS>,
): NodeSettings {
  return withoutUnsaid({ ...rest, name: name ?? kubernetesName });
}

function apiSettingsOf(
  { apiRoot, policyApiRoot, ...rest }: KeyValues<typeof API_KEYS>,
): ApiSettings {
  const root = apiRoot ?? policyApiRoot;
  // Old configurations name the API's version as part of the root.
  const apiEndpoint = root?.replace(/\/api\/v1\/?$/, "").replace(/\/$/, "");
  return withoutUnsaid({ ...rest, apiEndpoint });
}

type Said<T> = { readonly [K in keyof T]?: NonNullable<T[K]> };

/** The fields that are set. */
function withoutUnsaid<T extends Readonly<Record<string, string | boolean | undefined>>>(
  fields: T,
): Said<T> {
  const said = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as Said<T>;
}

/** @throws {CniError} code 7, listing all of them */
export function requireNoProblems(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new CniError("invalidConfiguration", `Network configuration: ${problems.join("; ")}`);
}

/** The agent's socket for DEL and GC, which go on without it if the setting is invalid. */
export function readAgentSocket({ json }: NetworkConfiguration): string | undefined {
  const path = json.agent_socket;
  return typeof path === "string" && isSocketPath(path) ? path : undefined;
}

/** Where the log goes and how much of it; read leniently, since a log never stops a command. */
export type LogSettings = KeyValues<typeof LOG_KEYS>;

/** Reads the settings of the log; an invalid value counts as absent. */
export function readLogSettings({ json }: Pick<NetworkConfiguration, "json">): LogSettings {
  return new KeyReader(new Fields(json)).read(LOG_KEYS);
}

/** The settings of the log before the configuration is read. */
export const LOG_SETTINGS_UNSAID: LogSettings = readLogSettings({ json: {} });

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
