/**
 * Manifests: the Kubernetes objects in YAML or JSON text, several documents (`---`) and List
 * objects included. What the objects mean is for `lib/datastore` to say.
 */

import { isRecord } from "../../lib/base/json.ts";
import { parseYaml } from "../../lib/base/yaml.ts";

/** An object of a manifest with `apiVersion` and `kind`, not decoded yet. */
export interface ManifestObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** A document that is no Kubernetes object. */
export interface Stray {
  /** `notYaml`: it may hold anything; `kustomization`: it says how to make objects; `noObject`. */
  readonly kind: "notYaml" | "kustomization" | "noObject";
  /** One sentence that says what it is and where. */
  readonly sentence: string;
}

/** The objects of a text, and its other documents. */
export interface Manifest {
  readonly objects: readonly ManifestObject[];
  readonly strays: readonly Stray[];
}

/** Parses the objects of a manifest; `path` is for the sentences about what is none. */
export function parseManifest(text: string, path: string): Manifest {
  const objects: ManifestObject[] = [];
  const strays: Stray[] = [];
  // Nothing but a separator starts a line so: a text block is indented.
  const documents = text.replace(/^\uFEFF/, "").split(/^---(?=\s|$)/m);
  for (const [index, document] of documents.entries()) {
    const place = documents.length === 1 ? path : `${path} (document ${index + 1})`;
    let value: unknown;
    try {
      value = parseYaml(document);
    } catch (error) {
      // The parser's message quotes the file, and with it perhaps a Secret: only the line is told.
      const line = /line (\d+)/.exec(String(error))?.[1];
      const near = line === undefined ? "" : `, near its line ${line}`;
      strays.push({ kind: "notYaml", sentence: `${place} is not YAML${near}` });
      continue;
    }
    if (hasCycle(value)) {
      strays.push({ kind: "notYaml", sentence: `${place} has an alias within what it stands for` });
    } else if (value !== null && value !== undefined) flatten(value, place, objects, strays);
  }
  return { objects, strays };
}

function flatten(value: unknown, place: string, objects: ManifestObject[], strays: Stray[]): void {
  if (isKustomization(value, place)) {
    const folder = place.slice(0, place.lastIndexOf("/") + 1) || ".";
    const sentence = `${place} says how to make objects and is none: to ask them, ` +
      `"kubectl kustomize ${folder} | calyxctl explain -f - …"`;
    strays.push({ kind: "kustomization", sentence });
    return;
  }
  if (!isObject(value)) {
    const needs = "it needs apiVersion, kind and metadata";
    strays.push({ kind: "noObject", sentence: `${place} is no Kubernetes object: ${needs}` });
    return;
  }
  const { items } = value;
  if (!Array.isArray(items) || !value.kind.endsWith("List")) {
    objects.push(value);
    return;
  }
  // A typed list leaves out what its items are.
  const kind = value.kind.slice(0, -"List".length);
  for (const [index, item] of items.entries()) {
    const typed = kind === "" || !isRecord(item)
      ? item
      : { apiVersion: value.apiVersion, kind, ...item };
    flatten(typed, `${place} items[${index}]`, objects, strays);
  }
}

/** Whether a value holds itself, as YAML's aliases make it (`a: &a [*a]`): nothing of JSON does. */
function hasCycle(value: unknown, above = new Set<unknown>(), seen = new Set<unknown>()): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (above.has(value)) return true;
  if (seen.has(value)) return false;
  seen.add(value);
  above.add(value);
  const isFound = Object.values(value).some((it) => hasCycle(it, above, seen));
  above.delete(value);
  return isFound;
}

/** By what it says, or by its name: it need not say anything. */
function isKustomization(value: unknown, place: string): boolean {
  if (isRecord(value) && String(value.apiVersion).startsWith("kustomize.config.k8s.io/")) {
    return true;
  }
  return /(^|\/)(kustomization\.ya?ml|Kustomization)( \(document \d+\))?$/.test(place);
}

function isObject(value: unknown): value is ManifestObject {
  if (!isRecord(value)) return false;
  const { apiVersion, kind, metadata } = value;
  if (typeof apiVersion !== "string" || typeof kind !== "string") return false;
  return isRecord(metadata) || (metadata === undefined && kind.endsWith("List"));
}
