/**
 * Chooses a connection from the settings, the kubeconfig, and what a pod finds about itself. Nothing
 * is sent here; see `api_server.ts`.
 */

import type { Clock } from "../base/clock.ts";
import { type Connection, type FoundConnection, parseServer } from "./connection.ts";
import { CredentialsError } from "./error.ts";
import { type Login, tokenLogin } from "./login.ts";
import { FileMaterial, inlineMaterial, type Material, sentence } from "./material.ts";
import { environmentProxy, isLoopback } from "./proxy.ts";
import { takeRuntimeEnvironment } from "./runtime_environment.ts";
import type { CredentialSettings, EffectiveSettings, FoundSetting } from "./settings.ts";

/** Where to look beside the settings. */
export interface Surroundings {
  /** What a pod finds about itself; `undefined` = what the cluster mounts and sets. */
  readonly inCluster?: CredentialSettings | undefined;
  /** Path of `~/.kube/config`, where that counts. */
  readonly homeKubeconfig?: string | undefined;
  readonly clock: Clock;
}

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * Chooses the connection: the kubeconfig or endpoint that the settings name, else the pod's service
 * account, else the home kubeconfig; then explicit values override what was found. A proxy is the
 * kubeconfig's, else the environment's.
 *
 * @throws {CredentialsError} if nothing says where the API server is, or what says it is wrong
 */
export async function chooseConnection(
  settings: EffectiveSettings,
  { inCluster, homeKubeconfig, clock }: Surroundings,
): Promise<Connection> {
  const found = await findConnection(settings, { inCluster, homeKubeconfig, clock });
  const override = overridesOf(settings, clock);
  // Only one of certificate and token decides who we are: what is explicit leaves the other out.
  const isExplicit = override.pair !== undefined || override.login !== undefined;
  const authority = override.authority ?? found.authority;
  if (found.isUnverified && authority === undefined && found.server.startsWith("https:")) {
    throw new CredentialsError(
      `${found.name} sets insecure-skip-tls-verify, which would trust any server and is not ` +
        `supported: put the server's CA into certificate-authority or K8S_CA_FILE`,
    );
  }
  const login = isExplicit ? override.login : found.login;
  if (login !== undefined) refusePlain(found.server, login);
  return {
    server: found.server,
    authority,
    pair: isExplicit ? override.pair : found.pair,
    login,
    headers: found.headers,
    proxy: found.proxy ?? environmentProxy(found.server, takeRuntimeEnvironment()),
    isStale: found.isStale,
  };
}

/**
 * A token or password goes to another machine encrypted or not at all.
 *
 * @throws {CredentialsError} if it would go in clear
 */
function refusePlain(server: string, login: Login): void {
  const { protocol, hostname } = new URL(server);
  if (protocol === "https:" || isLoopback(hostname)) return;
  throw new CredentialsError(
    `${sentence(login.name)} would be readable on the way to ${server}: use https, or no token`,
  );
}

/** What {@link findConnection} leaves unsaid where there is no kubeconfig. */
const BARE = {
  authority: undefined,
  pair: undefined,
  login: undefined,
  headers: {},
  proxy: undefined,
  isUnverified: false,
  isStale: () => Promise.resolve(false),
} as const satisfies Partial<FoundConnection>;

async function findConnection(
  settings: EffectiveSettings,
  { inCluster, homeKubeconfig, clock }: Surroundings,
): Promise<FoundConnection> {
  const { kubeconfig, apiEndpoint } = settings;
  if (kubeconfig !== undefined) return await readKubeconfig(kubeconfig, settings, clock);
  if (apiEndpoint !== undefined) {
    const server = parseServer(apiEndpoint.value, apiEndpoint.source);
    return { ...BARE, name: `${apiEndpoint.source} ${server}`, server };
  }
  const pod = inCluster ?? inClusterDefaults(settings);
  if (pod.apiEndpoint && (homeKubeconfig === undefined || await exists(pod.tokenFile))) {
    return inClusterConnection(pod, clock);
  }
  if (homeKubeconfig !== undefined && await exists(homeKubeconfig)) {
    const setting = { value: homeKubeconfig, source: "the default" };
    return await readKubeconfig(setting, settings, clock, true);
  }
  const home = homeKubeconfig === undefined ? "" : `, and "${homeKubeconfig}" does not exist`;
  throw new CredentialsError(
    `Nothing says where the API server is${home}: set KUBECONFIG or K8S_API_ENDPOINT, ` +
      `or run in a pod with a service account`,
  );
}

async function readKubeconfig(
  kubeconfig: FoundSetting,
  settings: EffectiveSettings,
  clock: Clock,
  isOnePath = false,
): Promise<FoundConnection> {
  const { loadKubeconfig } = await import("./kubeconfig.ts");
  return await loadKubeconfig(kubeconfig, settings, clock, isOnePath);
}

/** What the cluster sets and mounts in every pod that has a service account. */
function inClusterDefaults({ serviceHost, servicePort }: EffectiveSettings): CredentialSettings {
  if (serviceHost === undefined) return {};
  const host = serviceHost.value.includes(":") ? `[${serviceHost.value}]` : serviceHost.value;
  return {
    apiEndpoint: `https://${host}:${servicePort?.value ?? "443"}`,
    tokenFile: `${SERVICE_ACCOUNT}/token`,
    caFile: `${SERVICE_ACCOUNT}/ca.crt`,
  };
}

function inClusterConnection(pod: CredentialSettings, clock: Clock): FoundConnection {
  const { apiEndpoint = "", tokenFile, caFile } = pod;
  const server = parseServer(apiEndpoint, "KUBERNETES_SERVICE_HOST");
  const file = (what: string, path: string): Material =>
    new FileMaterial(what, path, "the pod's service account", clock);
  return {
    ...BARE,
    name: `service account at ${server}`,
    server,
    authority: caFile ? file("CA", caFile) : undefined,
    login: tokenFile ? tokenLogin(file("token", tokenFile)) : undefined,
  };
}

/** What the settings say beside a kubeconfig. */
function overridesOf(
  { certFile, keyFile, caFile, token, tokenFile }: EffectiveSettings,
  clock: Clock,
): Pick<FoundConnection, "authority" | "pair" | "login"> {
  if (certFile !== undefined && keyFile === undefined) {
    throw halfPair(`${certFile.source} names a client certificate`, "K8S_KEY_FILE", "its key");
  }
  if (keyFile !== undefined && certFile === undefined) {
    throw halfPair(`${keyFile.source} names a client key`, "K8S_CERT_FILE", "its certificate");
  }
  const file = (what: string, setting: FoundSetting): Material =>
    new FileMaterial(what, setting.value, setting.source, clock);
  return {
    authority: caFile === undefined ? undefined : file("CA", caFile),
    pair: certFile === undefined || keyFile === undefined ? undefined : {
      certificate: file("client certificate", certFile),
      key: file("client key", keyFile),
    },
    // As with kubectl: of a token and a token file, the file is the one that is kept up to date.
    login: tokenFile !== undefined
      ? tokenLogin(file("token", tokenFile))
      : token !== undefined
      ? tokenLogin(inlineMaterial(`token (${token.source})`, token.value))
      : undefined,
  };
}

function halfPair(what: string, missing: string, half: string): CredentialsError {
  return new CredentialsError(`${what} but ${half} is missing: set ${missing} too`);
}

async function exists(path: string | undefined): Promise<boolean> {
  if (!path) return false;
  return await Deno.stat(path).then(
    () => true,
    (error) => !(error instanceof Deno.errors.NotFound),
  );
}
