/**
 * The settings that say how to reach the API server, from each place where they are written, and
 * which of them count. Here nothing is opened or read: see `connection.ts`.
 */

import { type Setting, setting, type SettingTable, variablesOf } from "../settings/setting.ts";
import { text } from "../settings/value_type.ts";
import { CredentialsError } from "./error.ts";
import { Secret } from "./secret.ts";

/**
 * Every setting, a row each: its key in calicoctl's configuration file and its variables. Help,
 * docs/reference/settings.md and messages have the names from here.
 */
export const CREDENTIALS = {
  kubeconfig: setting({
    flag: "kubeconfig",
    fileKey: "kubeconfig",
    variables: ["KUBECONFIG"],
    variablePrefix: "CALICO_",
    type: text("FILE"),
    example: "/etc/calyx/kubeconfig",
    help: 'kubeconfig, or several separated by ":"',
  }),
  context: setting({
    flag: "context",
    fileKey: "k8sCurrentContext",
    variables: ["K8S_CURRENT_CONTEXT"],
    variablePrefix: "CALICO_",
    type: text("NAME"),
    unsaid: "its current-context",
    help: "context of the kubeconfig",
  }),
  apiEndpoint: setting({
    fileKey: "k8sAPIEndpoint",
    variables: ["K8S_API_ENDPOINT"],
    variablePrefix: "CALICO_",
    type: text("URL"),
    example: "https://api.example.org:6443",
    help: "URL of the API server; overrides the kubeconfig's",
  }),
  certFile: setting({
    fileKey: "k8sCertFile",
    variables: ["K8S_CERT_FILE"],
    variablePrefix: "CALICO_",
    type: text("FILE"),
    example: "/etc/calyx/agent.crt",
    help: "client certificate",
  }),
  keyFile: setting({
    fileKey: "k8sKeyFile",
    variables: ["K8S_KEY_FILE"],
    variablePrefix: "CALICO_",
    type: text("FILE"),
    example: "/etc/calyx/agent.key",
    help: "key of the client certificate",
  }),
  caFile: setting({
    fileKey: "k8sCAFile",
    variables: ["K8S_CA_FILE"],
    variablePrefix: "CALICO_",
    type: text("FILE"),
    example: "/etc/calyx/ca.crt",
    help: "certificate authority of the API server; if set, the only one that is trusted",
  }),
  token: setting({
    fileKey: "k8sAPIToken",
    variables: ["K8S_TOKEN", "K8S_API_TOKEN"],
    variablePrefix: "CALICO_",
    type: text("TOKEN"),
    help: "bearer token",
  }),
  tokenFile: setting({
    fileKey: "k8sTokenFile",
    variables: ["K8S_TOKEN_FILE"],
    variablePrefix: "CALICO_",
    type: text("FILE"),
    example: "/etc/calyx/token",
    help: "file with a bearer token, read again when it changes",
  }),
  datastoreType: setting({
    fileKey: "datastoreType",
    variables: ["DATASTORE_TYPE"],
    variablePrefix: "CALICO_",
    type: text("kubernetes"),
    unsaid: "kubernetes",
    help: "must be kubernetes, the only supported one",
  }),
  serviceHost: setting({
    variables: ["KUBERNETES_SERVICE_HOST"],
    type: text("ADDRESS"),
    help: "host of the API server; Kubernetes sets it in every pod",
  }),
  servicePort: setting({
    variables: ["KUBERNETES_SERVICE_PORT"],
    type: text("PORT"),
    unsaid: "443",
    help: "its port; Kubernetes sets it in every pod",
  }),
} as const satisfies SettingTable;

type SettingKey = keyof typeof CREDENTIALS;

const ROWS = Object.entries(CREDENTIALS) as readonly (readonly [SettingKey, Setting<unknown>])[];

/** The settings that programs offer as flags. */
export const CREDENTIAL_FLAGS = {
  kubeconfig: CREDENTIALS.kubeconfig,
  context: CREDENTIALS.context,
} as const satisfies SettingTable;

/** The settings of one source; the empty text counts as absent. */
export type CredentialSettings = {
  readonly [K in SettingKey]?: string | (K extends "token" ? Secret : never) | undefined;
};

/** Where settings may be written, in falling priority. */
export interface SettingSources {
  readonly flags?: Pick<CredentialSettings, keyof typeof CREDENTIAL_FLAGS> | undefined;
  readonly file?: CredentialSettings | undefined;
  /** The names of `file`'s keys in messages, if it is not calicoctl's. @default {the rows' keys} */
  readonly fileKeys?: Readonly<Partial<Record<SettingKey, string>>>;
  readonly environment: CredentialSettings;
}

/** A value and where it was written, for messages: `KUBECONFIG`, `--context`. */
export interface FoundSetting {
  readonly value: string;
  readonly source: string;
}

/** The settings after precedence. */
export type EffectiveSettings =
  & { readonly [K in Exclude<SettingKey, "token">]: FoundSetting | undefined }
  & { readonly token: { readonly value: Secret; readonly source: string } | undefined };

/** Reads the settings from environment variables. */
export function settingsFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): CredentialSettings {
  const settings: Partial<Record<SettingKey, string | Secret>> = {};
  for (const [key, row] of ROWS) {
    const value = variablesOf(row).map((it) => environment[it]).find(Boolean);
    if (value !== undefined) settings[key] = key === "token" ? new Secret(value) : value;
  }
  return settings as CredentialSettings;
}

/** Settings that a kubeconfig of a higher source does not override. */
const BESIDE_KUBECONFIG: readonly SettingKey[] = ["datastoreType", "serviceHost", "servicePort"];

/**
 * Merges the sources. Each value of a higher source counts before the same one of a lower source; and
 * once a source names a kubeconfig, lower sources do not override what is in it: a `--kubeconfig`
 * is not sent to the server that a forgotten `K8S_API_ENDPOINT` names.
 */
export function mergeSettings(sources: SettingSources): EffectiveSettings {
  const merged: Partial<Record<SettingKey, { value: string | Secret; source: string }>> = {};
  const ordered: readonly (CredentialSettings | undefined)[] = [
    sources.flags,
    sources.file,
    sources.environment,
  ];
  let isBelowKubeconfig = false;
  for (const [index, source] of ordered.entries()) {
    for (const [key, row] of ROWS) {
      const value = source?.[key];
      if (value === undefined || value === "" || merged[key] !== undefined) continue;
      if (isBelowKubeconfig && !BESIDE_KUBECONFIG.includes(key)) continue;
      // A token and a token file are one setting: the higher source's counts.
      if (key === "token" && merged.tokenFile !== undefined && !source?.tokenFile) continue;
      if (key === "tokenFile" && merged.token !== undefined) continue;
      const kept = key === "token" && typeof value === "string" ? new Secret(value) : value;
      const names = namesOf(row, sources.fileKeys?.[key]);
      merged[key] = { value: kept, source: names[index] ?? key };
    }
    isBelowKubeconfig ||= merged.kubeconfig !== undefined;
  }
  return merged as EffectiveSettings;
}

/** The name of a setting in its source: flag, key of a configuration file, or variable. */
function namesOf(
  row: Setting<unknown>,
  fileKey = row.fileKey,
): readonly (string | undefined)[] {
  return [row.flag && `--${row.flag}`, fileKey, row.variables?.[0]];
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
