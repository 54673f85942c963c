/**
 * calicoctl's configuration file, of its v1 API (`calicoApiConfig`) and of today's
 * (`CalicoAPIConfig`): which cluster, and with which credentials. Keys for etcd are passed over.
 * Values are never repeated in a message: they may be secrets.
 */

import { parseYaml } from "../lib/base/yaml.ts";
import { CREDENTIALS, type CredentialSettings } from "../lib/credentials/settings.ts";
import type { Setting } from "../lib/settings/setting.ts";
import { CtlError } from "./error.ts";
import { suggest } from "./suggest.ts";

/** Where the file is looked for unless `--config` names one. */
export const CONFIG_FILE = "/etc/calico/calicoctl.cfg";

/** Keys of `spec`, and what each sets. */
const KEYS: ReadonlyMap<string, string> = new Map(
  Object.entries<Setting<unknown>>(CREDENTIALS)
    .flatMap(([name, { fileKey }]) => fileKey === undefined ? [] : [[fileKey, name]]),
);

/** Keys that change nothing here. */
const PASSED_OVER = /^(etcd|k8sClient)|^(hostname|apiServerRoot|alphaFeatures)$/;

/**
 * Parses the text of a configuration file; `path` is for the messages.
 *
 * @throws {CtlError} if it is no configuration file, or has a setting that calyxctl does not support
 */
export function parseConfigFile(text: string, path: string): CredentialSettings {
  const document = parseDocument(text, path);
  if (document === null) return {};
  const { apiVersion, kind, spec } = recordOf(document, path, "It");
  const isKnown = String(kind).toLowerCase() === "calicoapiconfig" &&
    (apiVersion === "v1" || apiVersion === "projectcalico.org/v3");
  if (!isKnown) {
    throw new CtlError(
      `Configuration file ${path} must have apiVersion "v1" with kind "calicoApiConfig", ` +
        `or "projectcalico.org/v3" with "CalicoAPIConfig"`,
    );
  }
  const settings: Record<string, string> = {};
  for (const [key, value] of Object.entries(recordOf(spec ?? {}, path, "Its spec"))) {
    if (PASSED_OVER.test(key) || value === null || value === "") continue;
    const name = KEYS.get(key);
    if (name === undefined) throw unknownKey(key, value, path);
    if (typeof value !== "string") {
      throw new CtlError(`Configuration file ${path}: spec.${key} must be a text`);
    }
    settings[name] = value;
  }
  return settings;
}

function unknownKey(key: string, value: unknown, path: string): CtlError {
  if (key === "k8sInsecureSkipTLSVerify") {
    if (value === false || value === "false") return new CtlError(`${at(path, key)}: take it out`);
    return new CtlError(
      `${at(path, key)} would trust any server; name the cluster's CA in spec.k8sCAFile instead`,
    );
  }
  if (key === "kubeconfigInline") {
    return new CtlError(`${at(path, key)} is not supported; put it in a file, named by kubeconfig`);
  }
  if (key === "k8sKubeconfig") return new CtlError(`${at(path, key)} is spelled spec.kubeconfig`);
  return new CtlError(`${at(path, key)} is unknown${suggest(key, KEYS.keys())}`);
}

function at(path: string, key: string): string {
  return `Configuration file ${path}: spec.${key}`;
}

function parseDocument(text: string, path: string): unknown {
  try {
    return parseYaml(text);
  } catch (error) {
    // The parser's message quotes the file, and with it perhaps a token: only the place is told.
    const place = /\(?(?:at )?line (\d+), column (\d+)/.exec(String(error));
    const where = place === null ? "" : ` at line ${place[1]}, column ${place[2]}`;
    throw new CtlError(`Configuration file ${path} is not YAML${where}`);
  }
}

function recordOf(value: unknown, path: string, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CtlError(`Configuration file ${path} is malformed: ${what} must be a mapping`);
  }
  return value as Record<string, unknown>;
}
