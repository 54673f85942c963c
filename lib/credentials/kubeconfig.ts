/**
 * A connection from a kubeconfig: one file, or several merged as kubectl merges them (the first one
 * that says something counts). Contexts, clusters, users and their plug-ins go through
 * `@kubernetes/client-node`, which costs a tenth of a second to load: so import this file only
 * where there is a kubeconfig. https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */

import type { Cluster, KubeConfig, User } from "@kubernetes/client-node";
import type { Clock } from "../base/clock.ts";
import { type FoundConnection, type KeyPair, parseServer } from "./connection.ts";
import { CredentialsError } from "./error.ts";
import { readKubeconfigFiles } from "./kubeconfig_file.ts";
import { type Entry, mergeKubeconfigs } from "./kubeconfig_merge.ts";
import { type Login, passwordLogin, tokenLogin } from "./login.ts";
import { FileMaterial, inlineMaterial, type Material, sentence } from "./material.ts";
import { authProviderLogin, execLogin } from "./plugin.ts";
import { parseProxy } from "./proxy.ts";
import { Secret } from "./secret.ts";
import type { EffectiveSettings, FoundSetting } from "./settings.ts";

/** Fields that are checked to be texts, since `client-node` does not check them. */
const CLUSTER_TEXTS = [
  "certificate-authority",
  "certificate-authority-data",
  "proxy-url",
  "tls-server-name",
] as const;
const USER_TEXTS = [
  "token",
  "tokenFile",
  "client-certificate",
  "client-certificate-data",
  "client-key",
  "client-key-data",
  "username",
  "password",
] as const;

/**
 * Loads the kubeconfig; `isOnePath`: a ":" in it is part of the path.
 *
 * @throws {CredentialsError} one sentence about the file, the context or the value that is wrong
 */
export async function loadKubeconfig(
  kubeconfig: FoundSetting,
  settings: EffectiveSettings,
  clock: Clock,
  isOnePath = false,
): Promise<FoundConnection> {
  const { files, name, isStale } = await readKubeconfigFiles(kubeconfig, clock, isOnePath);
  const merged = mergeKubeconfigs(files, name, settings.context);
  const server = settings.apiEndpoint === undefined
    ? parseServer(merged.cluster.text("server") ?? missingServer(merged.cluster), name)
    : parseServer(settings.apiEndpoint.value, settings.apiEndpoint.source);
  for (const key of CLUSTER_TEXTS) merged.cluster.text(key);
  for (const key of USER_TEXTS) merged.user.text(key);
  const config = await loadConfig(merged, server);
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser() ?? undefined;
  if (cluster === null) throw new CredentialsError(`${sentence(merged.cluster.name)} is missing`);
  refuseServerName(merged.cluster, server);
  return {
    name: sentence(merged.cluster.name),
    server,
    authority: authorityOf(merged.cluster, cluster, clock),
    pair: user === undefined ? undefined : pairOf(merged.user, user, clock),
    login: user === undefined ? undefined : loginOf(merged.user, user, merged.cluster, clock),
    headers: merged.user.impersonation(),
    proxy: parseProxy(cluster.proxyUrl, merged.cluster.name),
    isUnverified: cluster.skipTLSVerify === true,
    isStale,
  };
}

/** The current context, its cluster and its user, as `client-node` understands them. */
async function loadConfig(
  { cluster, user, context }: ReturnType<typeof mergeKubeconfigs>,
  server: string,
): Promise<KubeConfig> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  const names = { cluster: "cluster", user: "user" };
  config.loadFromString(JSON.stringify({
    "current-context": context,
    contexts: [{ name: context, context: names }],
    clusters: [{ name: names.cluster, cluster: { ...cluster.fields, server } }],
    users: [{ name: names.user, user: user.fields }],
  }));
  return config;
}

function missingServer(cluster: Entry): never {
  throw new CredentialsError(
    `${sentence(cluster.name)} has no server: write its URL there or set K8S_API_ENDPOINT`,
  );
}

/** `fetch` takes the name that is verified from the URL, and has no option for another one. */
function refuseServerName(entry: Entry, server: string): void {
  const name = entry.text("tls-server-name");
  if (name === undefined || name === new URL(server).hostname) return;
  throw new CredentialsError(
    `${sentence(entry.name)} sets tls-server-name "${name}", which is not supported: ` +
      `use that name in the server's URL, with an entry in /etc/hosts if need be`,
  );
}

function authorityOf(entry: Entry, cluster: Cluster, clock: Clock): Material | undefined {
  const what = `CA of ${entry.name}`;
  if (cluster.caData) return entry.data("certificate-authority-data", what);
  if (!cluster.caFile) return undefined;
  return new FileMaterial("CA", entry.path(cluster.caFile), entry.name, clock);
}

function pairOf(entry: Entry, user: User, clock: Clock): KeyPair | undefined {
  const material = (what: string, key: string, file: string | undefined | null) =>
    entry.data(`${key}-data`, `${what} of ${entry.name}`) ??
      (file ? new FileMaterial(what, entry.path(file), entry.name, clock) : undefined);
  const certificate = material("client certificate", "client-certificate", user.certFile);
  const key = material("client key", "client-key", user.keyFile);
  if (certificate === undefined && key === undefined) return undefined;
  if (certificate !== undefined && key !== undefined) return { certificate, key };
  const [half, missing] = key === undefined
    ? ["client certificate but no key", "client-key"]
    : ["client key but no certificate", "client-certificate"];
  throw new CredentialsError(
    `${sentence(entry.name)} has a ${half}: add ${missing} or ${missing}-data`,
  );
}

/** As kubectl chooses: token file, token, password, plug-in. */
function loginOf(entry: Entry, user: User, cluster: Entry, clock: Clock): Login | undefined {
  const tokenFile = entry.text("tokenFile");
  if (tokenFile !== undefined) {
    return tokenLogin(new FileMaterial("token", entry.path(tokenFile), entry.name, clock));
  }
  if (user.token) return tokenLogin(inlineMaterial(`token of ${entry.name}`, user.token));
  if (user.username) {
    const password = new Secret(user.password ?? "");
    return passwordLogin(`password of ${entry.name}`, user.username, password);
  }
  if (user.exec) return execLogin(entry, cluster, clock);
  if (user.authProvider) return authProviderLogin(entry.name, user, clock);
  return undefined;
}
