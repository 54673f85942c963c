/** Names and labels: what `metadata` of every object must satisfy, and what label keys look like. */

import type { ApiKind } from "./kind.ts";
import { asList, asObject, type KubernetesObject } from "./object.ts";
import type { StatusCause } from "./status.ts";

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** Every reason to refuse the object's metadata. */
export function checkMetadata(kind: ApiKind, object: KubernetesObject): StatusCause[] {
  const { name = "", labels, finalizers } = object.metadata;
  const causes: StatusCause[] = [];
  const problem = nameProblem(kind, name);
  if (problem !== undefined) causes.push(invalid("metadata.name", name, problem));
  for (const [key, value] of Object.entries(asObject(labels))) {
    const problem = labelProblem(key) ?? labelValueProblem(value);
    if (problem !== undefined) causes.push(invalid("metadata.labels", key, problem));
  }
  for (const finalizer of asList(finalizers)) {
    const problem = labelProblem(String(finalizer));
    if (problem !== undefined) causes.push(invalid("metadata.finalizers", finalizer, problem));
  }
  return causes;
}

/** What is wrong with a label's key (`prefix/name`); `undefined` for nothing. */
export function labelProblem(key: string): string | undefined {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  if (prefix !== undefined && (prefix.length > 253 || !SUBDOMAIN.test(prefix))) {
    return "the prefix must be a DNS subdomain";
  }
  return name.length > 63 || !QUALIFIED.test(name)
    ? "the name must be 1 to 63 of A-Z, a-z, 0-9, '-', '_', '.'"
    : undefined;
}

/** What is wrong with a label's value; `undefined` for nothing. */
export function labelValueProblem(value: unknown): string | undefined {
  return typeof value === "string" && (value === "" || value.length <= 63 && QUALIFIED.test(value))
    ? undefined
    : "a label value must be at most 63 of A-Z, a-z, 0-9, '-', '_', '.'";
}

function nameProblem(kind: ApiKind, name: string): string | undefined {
  if (kind.plural === "namespaces") {
    return name.length <= 63 && LABEL.test(name) ? undefined : "must be a DNS label";
  }
  return name.length <= 253 && SUBDOMAIN.test(name) ? undefined : "must be a DNS subdomain";
}

function invalid(field: string, value: unknown, why: string): StatusCause {
  const message = `Invalid value: ${JSON.stringify(value)}: ${why}`;
  return { field, reason: "FieldValueInvalid", message };
}
