/** `labelSelector` and `fieldSelector` of a list or watch, as text in a query. */

import { type LabelRequirement, type Labels, matchesLabels } from "../../../../lib/model/labels.ts";
import { type ApiKind, apiVersionOf } from "./kind.ts";
import { labelProblem } from "./metadata_rules.ts";
import { type KubernetesObject, valueAt } from "./object.ts";
import { StatusError } from "./status.ts";

/** Whether an object is selected. */
export type Match = (object: KubernetesObject) => boolean;

/**
 * Parses both selectors of a query; `undefined` where there is none, so that all are selected.
 *
 * @throws {StatusError} 400 if one cannot be parsed or names a field that cannot be selected
 */
export function parseSelectors(query: URLSearchParams, kind: ApiKind): Match | undefined {
  const labels = query.get("labelSelector") ?? "";
  const fields = query.get("fieldSelector") ?? "";
  if (labels.trim() === "" && fields === "") return undefined;
  const requirements = parseLabelSelector(labels);
  const terms = parseFieldSelector(fields, kind);
  return (object) =>
    matchesLabels(requirements, (object.metadata.labels ?? {}) as Labels) &&
    terms.every(({ path, value, negated }) => (fieldOf(object, path) === value) !== negated);
}

/**
 * Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
 *
 * @throws {StatusError} 400 if it is not that
 */
export function parseLabelSelector(text: string): LabelRequirement[] {
  if (text.trim() === "") return [];
  // Commas between parentheses separate values, all others separate requirements.
  return text.split(/,(?![^(]*\))/).map((term) => parseRequirement(term.trim(), text));
}

function parseRequirement(term: string, whole: string): LabelRequirement {
  const set = /^([^\s=!,()]+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(term);
  const equality = /^([^\s=!,()]+)\s*(==|=|!=)\s*([^\s=!,()]*)$/.exec(term);
  const existence = /^(!?)\s*([^\s=!,()]+)$/.exec(term);
  let requirement: LabelRequirement | undefined;
  if (set !== null) {
    const [, key = "", operator, values = ""] = set;
    requirement = {
      key,
      operator: operator === "in" ? "In" : "NotIn",
      values: values.split(",").map((it) => it.trim()),
    };
  } else if (equality !== null) {
    const [, key = "", operator, value = ""] = equality;
    requirement = { key, operator: operator === "!=" ? "NotIn" : "In", values: [value] };
  } else if (existence !== null) {
    const [, negation, key = ""] = existence;
    requirement = { key, operator: negation === "!" ? "DoesNotExist" : "Exists", values: [] };
  }
  if (requirement === undefined || labelProblem(requirement.key) !== undefined) {
    throw new StatusError("BadRequest", `unable to parse label selector "${whole}"`);
  }
  return requirement;
}

interface FieldTerm {
  readonly path: string;
  readonly value: string;
  readonly negated: boolean;
}

function parseFieldSelector(text: string, kind: ApiKind): FieldTerm[] {
  const known = [
    "metadata.name",
    ...(kind.namespaced ? ["metadata.namespace"] : []),
    ...(kind.selectableFields ?? []),
  ];
  return text.split(",").filter((term) => term !== "").map((term) => {
    const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(term);
    if (match === null) {
      throw new StatusError("BadRequest", `unable to parse field selector "${text}"`);
    }
    const [, path = "", operator, value = ""] = match;
    if (!known.includes(path)) {
      throw new StatusError(
        "BadRequest",
        `Unable to find "${apiVersionOf(kind)}, Resource=${kind.plural}" that match field ` +
          `selector "${text}": field label not supported: ${path}`,
      );
    }
    return { path, value, negated: operator === "!=" };
  });
}

function fieldOf(object: KubernetesObject, path: string): string {
  const value = valueAt(object, path);
  return value === undefined || value === null ? "" : String(value);
}
