/**
 * Manifests: the Kubernetes objects in YAML or JSON text, several documents (`---`) and List
 * objects included. What the objects mean is for `lib/datastore` to say.
 */

import { parseYaml } from "../../lib/base/yaml.ts";
import { CtlError } from "../error.ts";

/** An object of a manifest, before anything is known of it but that it says what it is. */
export interface ManifestObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/**
 * Parses the objects of a manifest; `path` is for the messages.
 *
 * @throws {CtlError} if a document is not YAML, or is no Kubernetes object
 */
export function parseManifest(text: string, path: string): readonly ManifestObject[] {
  // Nothing but a separator starts a line so: a text block is indented.
  const documents = text.replace(/^\uFEFF/, "").split(/^---(?=\s|$)/m);
  return documents.flatMap((document, index) => {
    const place = documents.length === 1 ? path : `${path} (document ${index + 1})`;
    const value = parseDocument(document, place);
    return value === null || value === undefined ? [] : flatten(value, place);
  });
}

function parseDocument(text: string, place: string): unknown {
  try {
    return parseYaml(text);
  } catch (error) {
    // The parser's message quotes the file, and with it perhaps a Secret: only the line is told.
    const line = /line (\d+)/.exec(String(error))?.[1];
    throw new CtlError(
      `${place} is not YAML${line === undefined ? "" : `, near its line ${line}`}`,
    );
  }
}

function flatten(value: unknown, place: string): readonly ManifestObject[] {
  if (!isObject(value)) {
    throw new CtlError(`${place} is no Kubernetes object: it needs apiVersion, kind and metadata`);
  }
  const { items } = value;
  if (!Array.isArray(items) || !value.kind.endsWith("List")) return [value];
  // A typed list leaves out what its items are.
  const kind = value.kind.slice(0, -"List".length);
  return items.flatMap((item) =>
    flatten(kind === "" ? item : { apiVersion: value.apiVersion, kind, ...item }, place)
  );
}

function isObject(value: unknown): value is ManifestObject {
  if (!isRecord(value)) return false;
  const { apiVersion, kind, metadata } = value;
  if (typeof apiVersion !== "string" || typeof kind !== "string") return false;
  return isRecord(metadata) || (metadata === undefined && kind.endsWith("List"));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
