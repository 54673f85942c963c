/**
 * The cluster behind an API server, for one command: credentials from the flags, the configuration
 * file and the environment, and one deadline for everything that is asked.
 */

import { messageOf } from "../../lib/base/error.ts";
import { version } from "../../lib/base/version.ts";
import { type ApiServer, openApiServer } from "../../lib/credentials/api_server.ts";
import {
  CREDENTIAL_FLAGS,
  type CredentialSettings,
  settingsFromEnvironment,
} from "../../lib/credentials/settings.ts";
import { clusterNetworkPolicyKind } from "../../lib/datastore/decode/cluster_network_policy.ts";
import { namespaceKind } from "../../lib/datastore/decode/namespace.ts";
import { networkPolicyKind } from "../../lib/datastore/decode/network_policy.ts";
import { nodeKind } from "../../lib/datastore/decode/node.ts";
import { podKind } from "../../lib/datastore/decode/pod.ts";
import { DatastoreError } from "../../lib/datastore/error.ts";
import { type Decoded, isOfKind, objectKey, type ResourceKind } from "../../lib/datastore/kind.ts";
import { listAll } from "../../lib/datastore/list.ts";
import { getJson } from "../../lib/datastore/request.ts";
import { describeUnknown, discover, hasNoObjects } from "../../lib/datastore/served.ts";
import { readValues } from "../../lib/settings/read.ts";
import { GLOBAL_FLAGS, readFlag } from "../arguments.ts";
import type { Call } from "../command.ts";
import { CONFIG_FILE, parseConfigFile } from "../config_file.ts";
import { formatDuration } from "../duration.ts";
import { CtlError } from "../error.ts";
import { describeForeignPolicies } from "./foreign_policies.ts";
import { isObjectName } from "../namespace.ts";
import { type ClusterReader, type Scope, UnreadError } from "./reader.ts";
import { warnOf, warnTextOf } from "./warning.ts";

/** A cluster to read, until it is disposed of. */
export interface Connection extends ClusterReader, AsyncDisposable {
  /** The API server's version, such as `v1.31.0`. */
  version(): Promise<string>;
}

/**
 * Opens the cluster that the flags of `call` and its environment name.
 *
 * @throws {CtlError} if a flag or the configuration file is malformed
 * @throws {CredentialsError} if the credentials cannot be used
 */
export async function openCluster(call: Call): Promise<Connection> {
  const { flags, terminal } = call;
  const timeoutMs = readFlag(GLOBAL_FLAGS.requestTimeoutMs, flags);
  const deadline = startDeadline(timeoutMs);
  try {
    const warn = warnOf(call);
    const home = terminal.environment["HOME"];
    const api = await openApiServer({
      flags: settingsFromFlags(call),
      file: await readConfigFile(call),
      environment: settingsFromEnvironment(terminal.environment),
      ...(home === undefined ? {} : { homeKubeconfig: `${home}/.kube/config` }),
      userAgent: `calyxctl/${version}`,
    }, { onUnusedAuthority: warnTextOf(call) });
    return connectionOf(api, deadline, formatDuration(timeoutMs), warn);
  } catch (error) {
    deadline.stop();
    throw error;
  }
}

function connectionOf(
  api: ApiServer,
  { signal, stop }: Deadline,
  timeout: string,
  warn: (kind: string, key: string, problems: readonly string[]) => void,
): Connection {
  async function ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new CtlError(
        `The API server ${api.server} did not answer within ${timeout}; see --request-timeout`,
        { cause: error },
      );
    }
  }
  function valuesOf<T>(kind: ResourceKind<T>, items: Iterable<readonly [string, Decoded<T>]>): T[] {
    return [...items].flatMap(([key, { value, problems }]) => {
      if (problems.length > 0) warn(kind.name, key, problems);
      return value === undefined ? [] : [value];
    });
  }
  async function list<T>(kind: ResourceKind<T>, scope: Scope = {}): Promise<readonly T[]> {
    const { namespace, name, node } = scope;
    const scoped = namespace === undefined ? kind : { ...kind, path: pathIn(kind.path, namespace) };
    if (name !== undefined) return await getOne(scoped, name);
    const selector = node === undefined ? {} : { fieldSelector: `spec.nodeName=${node}` };
    const { items } = await ask(() => listAll(api, scoped, { signal, ...selector }));
    return valuesOf(kind, items);
  }
  /** None where there is no object of that name. */
  async function getOne<T>(kind: ResourceKind<T>, name: string): Promise<readonly T[]> {
    if (!isObjectName(name)) return [];
    const operation = `get ${kind.name} ${name}`;
    try {
      const object = await ask(() => getJson(api, `${kind.path}/${name}`, operation, signal));
      const key = isOfKind(kind, object) ? objectKey(object) : undefined;
      return key === undefined ? [] : valuesOf(kind, [[key, kind.decode(object)]]);
    } catch (error) {
      if (error instanceof DatastoreError && error.status === 404) return [];
      throw error;
    }
  }
  return {
    pods: (scope) => list(podKind, scope),
    policies: (scope) => list(networkPolicyKind, scope),
    clusterPolicies: async () => {
      const kind = clusterNetworkPolicyKind;
      const served = await ask(() => discover(api, kind, signal));
      if (served.state === "served") return await list(served.kind);
      const [version] = served.state === "unknown" ? served.versions : [];
      if (served.state === "absent" || version === undefined) return [];
      if (await ask(() => hasNoObjects(api, kind, version, signal))) return [];
      throw new UnreadError(describeUnknown(kind, served.versions));
    },
    namespaces: (scope) => list(namespaceKind, scope),
    nodes: (scope) => list(nodeKind, scope),
    foreignPolicies: () => ask(() => describeForeignPolicies(api, signal)),
    version: async () => {
      const answer = await ask(() => getJson(api, "/version", "get the version", signal));
      const { gitVersion } = answer as { gitVersion?: unknown };
      return typeof gitVersion === "string" ? gitVersion : "unknown";
    },
    [Symbol.asyncDispose]: async () => {
      stop();
      await api[Symbol.asyncDispose]();
    },
  };
}

/** `/api/v1/pods` to `/api/v1/namespaces/shop/pods`. */
function pathIn(path: string, namespace: string): string {
  const last = path.lastIndexOf("/");
  return `${path.slice(0, last)}/namespaces/${encodeURIComponent(namespace)}${path.slice(last)}`;
}

function settingsFromFlags({ flags }: Call): CredentialSettings {
  return readValues(CREDENTIAL_FLAGS, flags);
}

async function readConfigFile({ flags, terminal }: Call): Promise<CredentialSettings> {
  const named = readFlag(GLOBAL_FLAGS.config, flags);
  const path = named ?? terminal.configFile ?? CONFIG_FILE;
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (named === undefined && error instanceof Deno.errors.NotFound) return {};
    throw new CtlError(describeReadError(`Configuration file ${path}`, error), { cause: error });
  }
  return parseConfigFile(text, path);
}

/** Formats why a file cannot be read, with the remedy. */
export function describeReadError(what: string, error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return `${what} does not exist`;
  if (error instanceof Deno.errors.PermissionDenied) return `${what} may not be read by this user`;
  if (error instanceof Deno.errors.IsADirectory) return `${what} is a directory`;
  return `${what} cannot be read: ${messageOf(error)}`;
}

interface Deadline {
  readonly signal: AbortSignal;
  /** Stops the timeout. */
  stop(): void;
}

function startDeadline(timeoutMs: number): Deadline {
  const controller = new AbortController();
  const timer = timeoutMs === 0 ? undefined : setTimeout(() => controller.abort(), timeoutMs);
  return { signal: controller.signal, stop: () => clearTimeout(timer) };
}
