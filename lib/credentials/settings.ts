/**
 * The settings that say how to reach the API server, from each place where they are written, and
 * which of them count. Here nothing is opened or read: see `connection.ts`.
 */

import { CredentialsError } from "./error.ts";
import { Secret } from "./secret.ts";

/** What one source says; the empty text counts as unsaid. */
export interface CredentialSettings {
  /** A path, or several separated by ":". */
  readonly kubeconfig?: string | undefined;
  /** The kubeconfig's context. @default {its current-context} */
  readonly context?: string | undefined;
  /** URL of the API server. */
  readonly apiEndpoint?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly caFile?: string | undefined;
  readonly token?: string | Secret | undefined;
  readonly tokenFile?: string | undefined;
  /** "kubernetes" is the only one there is. */
  readonly datastoreType?: string | undefined;
  /** KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT: how a pod finds the API server. */
  readonly serviceHost?: string | undefined;
  readonly servicePort?: string | undefined;
}

/** Where settings may be written, in falling priority. */
export interface SettingSources {
  readonly flags?: CredentialSettings | undefined;
  readonly file?: CredentialSettings | undefined;
  readonly environment: CredentialSettings;
}

/** A value and where it was written, for messages: `KUBECONFIG`, `--context`. */
export interface Setting {
  readonly value: string;
  readonly source: string;
}

type SettingKey = keyof CredentialSettings;

/** The settings that count. */
export type EffectiveSettings =
  & { readonly [K in Exclude<SettingKey, "token">]: Setting | undefined }
  & { readonly token: { readonly value: Secret; readonly source: string } | undefined };

/** What each setting is called: as a flag, in a configuration file, in the environment. */
const NAMES: Readonly<Record<SettingKey, readonly [flag: string, file: string, variable: string]>> =
  {
    kubeconfig: ["--kubeconfig", "kubeconfig", "KUBECONFIG"],
    context: ["--context", "k8sCurrentContext", "K8S_CURRENT_CONTEXT"],
    apiEndpoint: ["--api-endpoint", "k8sAPIEndpoint", "K8S_API_ENDPOINT"],
    certFile: ["--cert-file", "k8sCertFile", "K8S_CERT_FILE"],
    keyFile: ["--key-file", "k8sKeyFile", "K8S_KEY_FILE"],
    caFile: ["--ca-file", "k8sCAFile", "K8S_CA_FILE"],
    token: ["--token", "k8sAPIToken", "K8S_TOKEN"],
    tokenFile: ["--token-file", "k8sTokenFile", "K8S_TOKEN_FILE"],
    datastoreType: ["--datastore-type", "datastoreType", "DATASTORE_TYPE"],
    serviceHost: ["", "", "KUBERNETES_SERVICE_HOST"],
    servicePort: ["", "", "KUBERNETES_SERVICE_PORT"],
  };

/** Variables that also exist with the prefix `CALICO_`, which then counts first. */
const PREFIXED: readonly SettingKey[] = [
  "kubeconfig",
  "context",
  "apiEndpoint",
  "certFile",
  "keyFile",
  "caFile",
  "token",
  "tokenFile",
  "datastoreType",
];

/** Reads the settings from environment variables. */
export function settingsFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): CredentialSettings {
  const settings: Partial<Record<SettingKey, string | Secret>> = {};
  for (const key of Object.keys(NAMES) as SettingKey[]) {
    const variables = key === "token" ? ["K8S_TOKEN", "K8S_API_TOKEN"] : [NAMES[key][2]];
    for (const variable of variables) {
      const prefixed = PREFIXED.includes(key) ? environment[`CALICO_${variable}`] : undefined;
      const value = prefixed || environment[variable];
      if (!value || settings[key] !== undefined) continue;
      settings[key] = key === "token" ? new Secret(value) : value;
    }
  }
  return settings as CredentialSettings;
}

/** Keys whose values describe a connection: a kubeconfig of a higher source is not changed by them. */
const BELOW_KUBECONFIG: readonly SettingKey[] = [
  "kubeconfig",
  "context",
  "apiEndpoint",
  "certFile",
  "keyFile",
  "caFile",
  "token",
  "tokenFile",
];

/**
 * Merges the sources. Each value of a higher source counts before the same one of a lower source; and
 * once a source names a kubeconfig, lower sources do not override what is in it: a `--kubeconfig`
 * is not sent to the server that a forgotten `K8S_API_ENDPOINT` names.
 */
export function mergeSettings(sources: SettingSources): EffectiveSettings {
  const merged: Partial<Record<SettingKey, { value: string | Secret; source: string }>> = {};
  const ordered = [sources.flags, sources.file, sources.environment];
  let isBelowKubeconfig = false;
  for (const [index, source] of ordered.entries()) {
    for (const key of Object.keys(NAMES) as SettingKey[]) {
      const value = source?.[key];
      if (value === undefined || value === "" || merged[key] !== undefined) continue;
      if (isBelowKubeconfig && BELOW_KUBECONFIG.includes(key)) continue;
      // A token and a token file are one setting: the higher source's counts.
      if (key === "token" && merged.tokenFile !== undefined && !source?.tokenFile) continue;
      if (key === "tokenFile" && merged.token !== undefined) continue;
      const text = key === "token" && typeof value === "string" ? new Secret(value) : value;
      merged[key] = { value: text, source: NAMES[key][index] ?? key };
    }
    isBelowKubeconfig ||= merged.kubeconfig !== undefined;
  }
  return merged as EffectiveSettings;
}

/**
 * Checks that the datastore is one that there is.
 *
 * @throws {CredentialsError} if it is not "kubernetes"
 */
export function requireKubernetes(settings: EffectiveSettings): void {
  const type = settings.datastoreType;
  if (type === undefined || type.value.trim().toLowerCase() === "kubernetes") return;
  throw new CredentialsError(
    `Datastore type ${JSON.stringify(type.value)} (${type.source}) is not supported: ` +
      `unset it or set it to "kubernetes", the only one`,
  );
}
