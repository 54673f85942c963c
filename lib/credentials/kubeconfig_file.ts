/** The files of a kubeconfig: which they are, and what YAML they hold. */

import { parseYaml } from "../base/yaml.ts";
import type { Clock } from "../base/clock.ts";
import { CredentialsError } from "./error.ts";
import { FileMaterial, sentence } from "./material.ts";
import type { FoundSetting } from "./settings.ts";

/** One file, parsed: a mapping. */
export interface KubeconfigFile {
  readonly path: string;
  readonly document: Readonly<Record<string, unknown>>;
}

/** The files that are there, in their order. */
export interface KubeconfigFiles {
  readonly files: readonly KubeconfigFile[];
  /** For messages: `kubeconfig "/a:/b"`. */
  readonly name: string;
  /** Whether one of them has changed since. */
  isStale(): Promise<boolean>;
}

/**
 * Reads the files that a setting names. Where it names several, those that are missing are passed
 * over, as kubectl does; one at least must be there.
 *
 * @throws {CredentialsError} naming the file that is missing, unreadable or malformed
 */
export async function readKubeconfigFiles(
  { value, source }: FoundSetting,
  clock: Clock,
  isOnePath: boolean,
): Promise<KubeconfigFiles> {
  const paths = isOnePath ? [value] : value.split(":").filter((it) => it !== "");
  const files: KubeconfigFile[] = [];
  const read: { material: FileMaterial; text: string }[] = [];
  for (const path of paths) {
    if (paths.length > 1 && await isMissing(path)) continue;
    const material = new FileMaterial("kubeconfig", path, source, clock);
    const text = (await material.read()).reveal();
    read.push({ material, text });
    files.push({ path, document: parseDocument(text, material.name) });
  }
  if (files.length === 0) {
    throw new CredentialsError(
      `None of the kubeconfigs ${JSON.stringify(value)} (${source}) exists: create one of them`,
    );
  }
  const name = `kubeconfig "${files.map((it) => it.path).join(":")}"`;
  const isStale = async (): Promise<boolean> => {
    for (const { material, text } of read) {
      // A file that is being replaced is not stale yet.
      const now = await material.read(true).catch(() => undefined);
      if (now !== undefined && now.reveal() !== text) return true;
    }
    return false;
  };
  return { files, name, isStale };
}

async function isMissing(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => false, (it) => it instanceof Deno.errors.NotFound);
}

/** The parser's own message quotes the text, and with it perhaps a token: only the place is told. */
function parseDocument(text: string, name: string): Readonly<Record<string, unknown>> {
  let document: unknown;
  try {
    document = parseYaml(text);
  } catch (error) {
    const place = /line (\d+), column (\d+)/.exec(String(error));
    const where = place === null ? "" : ` at line ${place[1]}, column ${place[2]}`;
    throw new CredentialsError(`${sentence(name)} is not YAML${where}: correct it there`);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw new CredentialsError(
      `${sentence(name)} is no kubeconfig: it must be a mapping with clusters, users and contexts`,
    );
  }
  const kind = "kind" in document ? document.kind : undefined;
  if (kind !== undefined && kind !== "Config") {
    const shown = typeof kind === "string" ? ` but of kind "${kind.slice(0, 60)}"` : "";
    throw new CredentialsError(`${sentence(name)} is no kubeconfig${shown}: name another file`);
  }
  return document as Record<string, unknown>;
}
