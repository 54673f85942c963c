/**
 * Reads JSON of any form. Each reader names the type that it expects and the path of the field, and notes a
 * problem if it finds another one: so all problems of an object are reported, not only the first.
 */

import type { Address } from "../../ip/address.ts";
import { isMapped, parseLegacyAddress, parseLegacyPrefix } from "../../ip/legacy.ts";
import { Prefix } from "../../ip/prefix.ts";
import type { LabelRequirement, Labels, LabelSelector } from "../../model/labels.ts";

/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** Notes problems: `spec.ports[0].port cannot be "x"`. */
export class Problems {
  readonly all: string[] = [];

  /** `path` holds `value`, which it cannot. */
  add(path: string, value: unknown, expected?: string): void {
    const shown = (JSON.stringify(value) ?? "missing").slice(0, 80);
    this.all.push(`${path} cannot be ${shown}${expected === undefined ? "" : `: ${expected}`}`);
  }
}

/** The object at `path`; absent is empty. */
export function readObject(value: unknown, path: string, problems: Problems): Fields {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Fields;
  problems.add(path, value, "an object is expected");
  return {};
}

/** The list at `path`; absent or null is `undefined`. */
export function readList(
  value: unknown,
  path: string,
  problems: Problems,
): readonly unknown[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value)) return value;
  problems.add(path, value, "a list is expected");
  return undefined;
}

/** The text at `path`; absent is `undefined`. */
export function readText(value: unknown, path: string, problems: Problems): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  problems.add(path, value, "a string is expected");
  return undefined;
}

/** Notes every field that is not among `known`: a field of a newer API may restrict the others. */
export function refuseOthers(
  fields: Fields,
  known: readonly string[],
  path: string,
  problems: Problems,
): void {
  for (const field of Object.keys(fields)) {
    if (!known.includes(field)) {
      problems.add(`${path}.${field}`, fields[field], "this field is not known");
    }
  }
}

/**
 * A CIDR of a `v1` API without its host bits, which mean nothing, in any spelling that API servers take
 * there: see `lib/ip/legacy.ts`.
 */
export function readLegacyCidr(
  value: unknown,
  path: string,
  problems: Problems,
): Prefix | undefined {
  const prefix = typeof value === "string" ? parseLegacyPrefix(value) : undefined;
  if (prefix === undefined) problems.add(path, value, "a CIDR is expected");
  return prefix?.network;
}

/** An address of a `v1` API in any spelling that API servers take there; `undefined` for none. */
export function readLegacyAddress(value: unknown): Address | undefined {
  return typeof value === "string" ? parseLegacyAddress(value) : undefined;
}

/**
 * A CIDR of ClusterNetworkPolicy without its host bits, which mean nothing. Its CustomResourceDefinition
 * refuses leading zeros and IPv4 written as IPv6, of whatever length (CEL's `isCIDR`,
 * apiserver/pkg/cel/library/cidr.go): as IPv6 it would match no packet, and what is to be denied would
 * not be.
 */
export function readCidr(value: unknown, path: string, problems: Problems): Prefix | undefined {
  const prefix = typeof value === "string" ? Prefix.tryParse(value) : undefined;
  if (prefix !== undefined && !isMapped(prefix.address)) return prefix.network;
  problems.add(path, value, "a CIDR is expected");
  return undefined;
}

/** Name, namespace and the like, which every object has. */
export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** RFC 3339, in UTC. */
  readonly createdAt: string;
  readonly labels: Labels;
  readonly annotations: Labels;
}

/** `metadata` of an object. */
export function readMetadata(object: Fields, problems: Problems): Metadata {
  const metadata = readObject(object.metadata, "metadata", problems);
  const text = (field: string): string =>
    readText(metadata[field], `metadata.${field}`, problems) ?? "";
  return {
    name: text("name"),
    namespace: text("namespace"),
    uid: text("uid"),
    resourceVersion: text("resourceVersion"),
    createdAt: text("creationTimestamp"),
    labels: readLabels(metadata.labels, "metadata.labels", problems),
    annotations: readLabels(metadata.annotations, "metadata.annotations", problems),
  };
}

/** A map of texts; entries that are none are left out. */
function readLabels(value: unknown, path: string, problems: Problems): Labels {
  const labels: Record<string, string> = {};
  for (const [key, text] of Object.entries(readObject(value, path, problems))) {
    if (typeof text === "string") {
      Object.defineProperty(labels, key, { value: text, enumerable: true });
    } else problems.add(`${path}.${key}`, text, "a string is expected");
  }
  return labels;
}

const OPERATORS = ["In", "NotIn", "Exists", "DoesNotExist"] as const;

/**
 * A label selector; absent is `undefined`, and so is one that is not understood: what that means is
 * the caller's to say.
 */
export function readSelector(
  value: unknown,
  path: string,
  problems: Problems,
): LabelSelector | undefined {
  if (value === undefined || value === null) return undefined;
  const before = problems.all.length;
  const fields = readObject(value, path, problems);
  refuseOthers(fields, ["matchLabels", "matchExpressions"], path, problems);
  const labels = readLabels(fields.matchLabels, `${path}.matchLabels`, problems);
  const expressions = readList(fields.matchExpressions, `${path}.matchExpressions`, problems) ?? [];
  const requirements: LabelRequirement[] = Object.entries(labels)
    .map(([key, text]) => ({ key, operator: "In", values: [text] }));
  expressions.forEach((expression, index) => {
    const at = `${path}.matchExpressions[${index}]`;
    const requirement = readRequirement(expression, at, problems);
    if (requirement !== undefined) requirements.push(requirement);
  });
  return problems.all.length > before ? undefined : requirements;
}

function readRequirement(
  value: unknown,
  path: string,
  problems: Problems,
): LabelRequirement | undefined {
  const fields = readObject(value, path, problems);
  refuseOthers(fields, ["key", "operator", "values"], path, problems);
  const key = readText(fields.key, `${path}.key`, problems);
  const operator = OPERATORS.find((it) => it === fields.operator);
  const values = readList(fields.values, `${path}.values`, problems) ?? [];
  if (key === undefined || key === "") problems.add(`${path}.key`, fields.key);
  if (operator === undefined) {
    problems.add(`${path}.operator`, fields.operator, `one of ${OPERATORS.join(", ")} is expected`);
  }
  const texts = values.filter((it) => typeof it === "string");
  const takesValues = operator === "In" || operator === "NotIn";
  const isCounted = operator === undefined || takesValues === texts.length > 0;
  if (texts.length < values.length || !isCounted) {
    problems.add(`${path}.values`, fields.values);
  } else if (operator !== undefined) return { key: key ?? "", operator, values: texts };
  return undefined;
}
