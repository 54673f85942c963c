/**
 * One context out of several kubeconfig files, with its cluster and its user. As with kubectl, the
 * first file that has a name decides what it means, and the first `current-context` counts.
 */

import { isRecord } from "../base/json.ts";
import { CredentialsError } from "./error.ts";
import type { KubeconfigFile } from "./kubeconfig_file.ts";
import { inlineMaterial, type Material, sentence } from "./material.ts";
import type { FoundSetting } from "./settings.ts";

/** The texts that `kubectl config view` prints in place of secrets and certificates. */
const OMITTED: readonly string[] = ["DATA+OMITTED", "DATA OMITTED", "REDACTED"];

/** A cluster or a user of a kubeconfig. */
export class Entry {
  /** For messages: `user "admin" of kubeconfig "/etc/k"`. */
  readonly name: string;
  /** As written. Secrets are among them. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly #directory: string;

  constructor(name: string, fields: Readonly<Record<string, unknown>>, directory: string) {
    this.name = name;
    this.fields = fields;
    this.#directory = directory;
  }

  /**
   * A text; `undefined` where it is unsaid or empty.
   *
   * @throws {CredentialsError} if it is something else
   */
  text(key: string): string | undefined {
    const value = this.fields[key];
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value === "string" && OMITTED.includes(value)) {
      throw new CredentialsError(
        `${sentence(this.name)}: ${key} is left out, as "kubectl config view" does: ` +
          `write the kubeconfig with "kubectl config view --raw"`,
      );
    }
    if (typeof value === "string") return value;
    throw new CredentialsError(
      `${sentence(this.name)}: ${key} must be a text, so put its value in quotes`,
    );
  }

  /**
   * A base64 text, decoded; `undefined` where it is unsaid.
   *
   * @throws {CredentialsError} if it is no base64
   */
  data(key: string, what: string): Material | undefined {
    const text = this.text(key)?.replaceAll(/\s/g, "");
    if (text === undefined) return undefined;
    try {
      const bytes = Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
      return inlineMaterial(what, new TextDecoder().decode(bytes));
    } catch {
      throw new CredentialsError(`${sentence(this.name)}: ${key} is no base64: copy it again`);
    }
  }

  /** Resolves a path from the folder of its kubeconfig. */
  path(file: string): string {
    return file.startsWith("/") || this.#directory === "" ? file : `${this.#directory}/${file}`;
  }

  /**
   * The headers for `as`, `as-uid` and `as-groups`. `fetch` joins headers of one name into one, which
   * would be another group, so there can be one group only.
   *
   * @throws {CredentialsError} if they cannot be obeyed
   */
  impersonation(): Readonly<Record<string, string>> {
    const { "as-groups": groups, "as-user-extra": extra } = this.fields;
    const names = { "impersonate-user": this.text("as"), "impersonate-uid": this.text("as-uid") };
    const group = Array.isArray(groups) && groups.length === 1 ? groups[0] : undefined;
    if (extra || (groups && typeof group !== "string")) {
      throw new CredentialsError(
        `${sentence(this.name)} impersonates with as-user-extra or not exactly one of as-groups, ` +
          `which is not supported: use a user of its own`,
      );
    }
    const headers = { ...names, "impersonate-group": group };
    const given = Object.entries(headers).filter((it): it is [string, string] =>
      it[1] !== undefined
    );
    if (given.length > 0 && names["impersonate-user"] === undefined) {
      throw new CredentialsError(
        `${sentence(this.name)} has as-uid or as-groups without as: add as`,
      );
    }
    return Object.fromEntries(given);
  }
}

/** The fields of the chosen context. */
export interface MergedKubeconfig {
  readonly context: string;
  readonly cluster: Entry;
  /** Without fields where the context names no user. */
  readonly user: Entry;
}

/**
 * Chooses a context: the one that is named, else the first `current-context`.
 *
 * @throws {CredentialsError} if there is no such context, or what it names is not there
 */
export function mergeKubeconfigs(
  files: readonly KubeconfigFile[],
  name: string,
  wanted: FoundSetting | undefined,
): MergedKubeconfig {
  const contexts = entriesOf(files, "contexts", "context");
  const current = files.map((it) => it.document["current-context"])
    .find((it): it is string => typeof it === "string" && it !== "");
  const context = wanted?.value ?? current;
  const known = contexts.size === 0
    ? "it has no contexts"
    : `it has ${[...contexts.keys()].slice(0, 20).map((it) => `"${it}"`).join(", ")}`;
  if (context === undefined) {
    throw new CredentialsError(
      `${sentence(name)} has no current-context: set one or use --context (${known})`,
    );
  }
  const chosen = contexts.get(context);
  if (chosen === undefined) {
    const source = wanted === undefined ? "its current-context" : wanted.source;
    throw new CredentialsError(
      `${sentence(name)} has no context "${context}" (${source}): ${known}`,
    );
  }
  const find = (list: string, key: string): Entry | undefined => {
    const wantedName = chosen.text(key);
    if (wantedName === undefined) return undefined;
    const entry = entriesOf(files, list, key).get(wantedName);
    if (entry !== undefined) return entry;
    throw new CredentialsError(
      `${sentence(chosen.name)} names ${key} "${wantedName}", which is not there: ` +
        `add it or use another context`,
    );
  };
  const cluster = find("clusters", "cluster");
  if (cluster === undefined) {
    throw new CredentialsError(`${sentence(chosen.name)} names no cluster: add it`);
  }
  const user = find("users", "user") ?? new Entry(`user of ${name}`, {}, "");
  return { context, cluster, user };
}

/** The entries of a list (`clusters`) by name; each has its fields under `key` (`cluster`). */
function entriesOf(
  files: readonly KubeconfigFile[],
  list: string,
  key: string,
): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const { path, document } of files) {
    const items = document[list] ?? [];
    if (!Array.isArray(items)) {
      throw new CredentialsError(`Kubeconfig "${path}": ${list} must be a list`);
    }
    for (const [index, item] of items.entries()) {
      const fields = isRecord(item) ? item[key] ?? {} : undefined;
      const name = isRecord(item) ? item.name : undefined;
      if (typeof name !== "string" || !isRecord(fields)) {
        throw new CredentialsError(
          `Kubeconfig "${path}": ${list}[${index}] must have a name (in quotes if it is a number) ` +
            `and a ${key}`,
        );
      }
      if (entries.has(name)) continue;
      const directory = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) || "/" : "";
      entries.set(name, new Entry(`${key} "${name}" of kubeconfig "${path}"`, fields, directory));
    }
  }
  return entries;
}
