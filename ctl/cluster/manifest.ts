/**
 * The cluster that manifests describe, without any server: for `explain -f`. What a server would
 * add is added: a namespace's name as its label, namespaces that only pods speak of, and pods for
 * the templates of Deployments and the like.
 */

import { clusterNetworkPolicyKind } from "../../lib/datastore/decode/cluster_network_policy.ts";
import { namespaceKind } from "../../lib/datastore/decode/namespace.ts";
import { networkPolicyKind } from "../../lib/datastore/decode/network_policy.ts";
import { nodeKind } from "../../lib/datastore/decode/node.ts";
import { podKind } from "../../lib/datastore/decode/pod.ts";
import { objectKey, type ObjectKind } from "../../lib/datastore/kind.ts";
import type { Cluster } from "../../lib/policy/evaluate.ts";
import type { ManifestObject } from "./document.ts";
import type { Warn } from "./warning.ts";

/** The label that an API server gives every namespace. */
const NAME_LABEL = "kubernetes.io/metadata.name";

/** The cluster of `objects`; what has no namespace is in `namespace`. */
export function clusterOf(
  objects: readonly ManifestObject[],
  namespace: string,
  warn: Warn,
): Cluster {
  function decode<T>(kind: ObjectKind<T>, chosen: readonly ManifestObject[]): readonly T[] {
    // The last of several with one name counts, as with `kubectl apply`.
    const byKey = new Map(chosen.map((it) => [objectKey(it) ?? "", it]));
    return [...byKey].flatMap(([key, object]) => {
      const { value, problems } = kind.decode(object);
      if (problems.length > 0) warn(kind.name, key, problems);
      return value === undefined ? [] : [value];
    });
  }
  const ofKind = (kind: string): readonly ManifestObject[] =>
    objects.filter((it) => it.kind === kind);
  const placed = (it: ManifestObject): ManifestObject => ({
    ...it,
    metadata: { namespace, ...it.metadata },
  });
  function evaluated<T>(
    { kind, name }: ObjectKind<T>,
    apiVersions: readonly string[],
  ): readonly ManifestObject[] {
    return ofKind(kind).filter((it) => {
      const isEvaluated = apiVersions.includes(it.apiVersion);
      if (!isEvaluated) warn(name, objectKey(it) ?? "", [`${it.apiVersion} is not evaluated`]);
      return isEvaluated;
    });
  }
  const policies = evaluated(networkPolicyKind, ["networking.k8s.io/v1"]).map(placed);
  const { group, versions } = clusterNetworkPolicyKind;
  const clusterPolicies = evaluated(
    clusterNetworkPolicyKind,
    versions.map((it) => `${group}/${it}`),
  );
  const pods = decode(podKind, [
    ...objects.flatMap(podOfTemplate).map(placed),
    ...ofKind("Pod").map(placed),
  ]);
  const decoded = decode(networkPolicyKind, policies);
  const named = new Set([namespace, ...pods.map((it) => it.namespace)]);
  const unsaid = [...named].map((name) => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name },
  }));
  return {
    pods,
    policies: decoded,
    clusterPolicies: decode(clusterNetworkPolicyKind, clusterPolicies),
    namespaces: decode(namespaceKind, [...unsaid, ...ofKind("Namespace")].map(withNameLabel)),
    nodes: decode(nodeKind, ofKind("Node")),
  };
}

/** Sentences about the policies of `objects` that decide and cannot be read: see the reader's. */
export function unreadOf(objects: readonly ManifestObject[]): readonly string[] {
  const { group, kind, versions } = clusterNetworkPolicyKind;
  return objects
    .filter((it) => it.kind === kind && it.apiVersion.startsWith(`${group}/`))
    .filter((it) => !versions.includes(it.apiVersion.slice(group.length + 1)))
    .map((it) =>
      `${kind} ${objectKey(it) ?? ""} is of ${it.apiVersion}, and this version of Calyx reads ` +
      versions.join(" and ")
    );
}

function withNameLabel(object: ManifestObject): ManifestObject {
  const { labels, name } = object.metadata;
  return {
    ...object,
    metadata: { ...object.metadata, labels: { ...recordOf(labels), [NAME_LABEL]: name } },
  };
}

/** The pod that a workload's template makes, named after the workload. */
function podOfTemplate(object: ManifestObject): readonly ManifestObject[] {
  const spec = recordOf(object["spec"]);
  const template = recordOf(
    spec["template"] ?? recordOf(recordOf(spec["jobTemplate"])["spec"])["template"],
  );
  const podSpec = recordOf(template["spec"]);
  if (!Array.isArray(podSpec["containers"])) return [];
  const { name, namespace } = object.metadata;
  const { labels } = recordOf(template["metadata"]);
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), labels };
  return [{ apiVersion: "v1", kind: "Pod", metadata, spec: podSpec }];
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
