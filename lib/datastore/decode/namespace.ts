/** Namespace, `v1`. */

import type { Namespace } from "../../model/namespace.ts";
import type { Decoded, ResourceKind } from "../kind.ts";
import { Problems, readMetadata, readObject } from "./fields.ts";

/** All namespaces. */
export const namespaceKind: ResourceKind<Namespace> = {
  name: "namespaces",
  kind: "Namespace",
  path: "/api/v1/namespaces",
  decode: decodeNamespace,
};

/** The label that says a namespace's name; API servers before 1.21 do not set it. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/** NetworkPolicy's first days: JSON that says whether pods accept ingress that no policy allows. */
const ISOLATION_ANNOTATION = "net.beta.kubernetes.io/network-policy";
/** Ours: `drop` or `reject`. */
const DENY_ANNOTATION = "calyx.io/deny-action";

/** Decodes a Namespace. One whose labels are not understood counts as absent: nothing selects it. */
export function decodeNamespace(object: unknown): Decoded<Namespace> {
  const problems = new Problems();
  const { name, labels, annotations } = readMetadata(
    readObject(object, "object", problems),
    problems,
  );
  if (name === "") problems.add("metadata.name", name);
  if (problems.all.length > 0) return { value: undefined, problems: problems.all };
  const value: Namespace = {
    name,
    labels: { ...labels, [NAME_LABEL]: name },
    isIsolated: readIsolation(annotations[ISOLATION_ANNOTATION], problems),
    denyAction: readDenyAction(annotations[DENY_ANNOTATION], problems),
  };
  return { value, problems: problems.all };
}

/** An annotation that is not such JSON isolates nothing; the log names it. */
function readIsolation(text: string | undefined, problems: Problems): boolean {
  if (text === undefined) return false;
  const path = `metadata.annotations.${ISOLATION_ANNOTATION}`;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    problems.add(path, text, "JSON is expected");
    return false;
  }
  if (json === null) problems.add(path, text, "an object is expected");
  const { isolation } = readObject(readObject(json, path, problems).ingress, path, problems);
  if (isolation === "DefaultDeny") return true;
  if (isolation !== undefined) problems.add(path, text, "DefaultDeny is expected");
  return false;
}

function readDenyAction(text: string | undefined, problems: Problems): Namespace["denyAction"] {
  if (text === undefined || text === "drop" || text === "reject") return text;
  problems.add(`metadata.annotations.${DENY_ANNOTATION}`, text, "drop or reject is expected");
  return undefined;
}
