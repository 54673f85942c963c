/**
 * `get profiles`: one for each namespace, which allows everything. What a pod falls back to where
 * no policy selects it, and where its namespace's labels come from in Calico's selectors.
 */

import type { Namespace } from "../../lib/model/namespace.ts";
import { profileNameOf } from "../../lib/model/workload_endpoint.ts";
import { type Item, sortBy, type View, withoutEmpty } from "./view.ts";

/** Before the key of a namespace's label, on the endpoints that inherit it. */
export const NAMESPACE_LABEL_PREFIX = "k8s_ns/label/";

export const profileView: View = {
  kind: "profile",
  words: ["profiles", "profile", "pros", "pro"],
  namespaced: false,
  onNodes: false,
  columns: { ps: ["NAME"], wide: ["NAME", "TAGS"], all: ["NAME", "TAGS"] },
  scopesOf: (name) => [{ name: name.replace(/^k8s_ns\./, "") }],
  list: async (reader, query) =>
    sortBy(await reader.namespaces(query), (it) => it.name).map(itemOf),
};

function itemOf(namespace: Namespace): Item {
  const name = profileNameOf(namespace.name);
  const labels = Object.fromEntries(
    Object.entries(namespace.labels).map(([key, value]) => [NAMESPACE_LABEL_PREFIX + key, value]),
  );
  return {
    names: [name, namespace.name],
    labels,
    cells: { NAME: name, TAGS: name },
    resource: {
      apiVersion: "v1",
      kind: "profile",
      metadata: withoutEmpty({ name, labels, tags: [name] }),
      spec: { ingress: [{ action: "allow" }], egress: [{ action: "allow" }] },
    },
  };
}
