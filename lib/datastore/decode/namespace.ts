/** Namespace, `v1`. */

import type { Namespace } from "../../model/namespace.ts";
import type { Decoded, ResourceKind } from "../kind.ts";
import { Problems, readMetadata, readObject } from "./fields.ts";

/** All namespaces. */
export const namespaceKind: ResourceKind<Namespace> = {
  name: "namespaces",
  path: "/api/v1/namespaces",
  decode: decodeNamespace,
};

/** The label that says a namespace's name; API servers before 1.21 do not set it. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/** Decodes a Namespace. */
export function decodeNamespace(object: unknown): Decoded<Namespace> {
  const problems = new Problems();
  const { name, labels, annotations } = readMetadata(
    readObject(object, "object", problems),
    problems,
  );
  if (name === "") {
    problems.add("metadata.name", name);
    return { value: undefined, problems: problems.all };
  }
  const value = { name, labels: { ...labels, [NAME_LABEL]: name }, annotations };
  return { value, problems: problems.all };
}
