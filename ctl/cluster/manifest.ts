/**
 * The cluster that manifests describe, without any server: for `explain -f`. What a server would
 * add is added: a namespace's name as its label, namespaces that only pods speak of, and pods for
 * the templates of Deployments and the like. Pure.
 */

import { clusterNetworkPolicyKind } from "../../lib/datastore/decode/cluster_network_policy.ts";
import { namespaceKind } from "../../lib/datastore/decode/namespace.ts";
import { networkPolicyKind } from "../../lib/datastore/decode/network_policy.ts";
import { nodeKind } from "../../lib/datastore/decode/node.ts";
import { podKind } from "../../lib/datastore/decode/pod.ts";
import { objectKey, type ObjectKind } from "../../lib/datastore/kind.ts";
import { describeUnevaluated, type EvaluatedKind, isEvaluated } from "./unevaluated.ts";
import type { ManifestObject } from "./document.ts";
import type { ReadCluster } from "./reader.ts";
import type { Warn } from "./warning.ts";
import { groupOf, type Origin, originOf, podSpecOf } from "./workload_kind.ts";

/** The label that an API server gives every namespace. */
const NAME_LABEL = "kubernetes.io/metadata.name";

const { group: policyGroup, versions: policyVersions } = clusterNetworkPolicyKind;

const POD: EvaluatedKind = { group: "", kind: podKind.kind, versions: ["v1"] };
const NAMESPACE: EvaluatedKind = { group: "", kind: namespaceKind.kind, versions: ["v1"] };
const NODE: EvaluatedKind = { group: "", kind: nodeKind.kind, versions: ["v1"] };
const POLICY: EvaluatedKind = {
  group: "networking.k8s.io",
  kind: networkPolicyKind.kind,
  versions: ["v1"],
};
const CLUSTER_POLICY: EvaluatedKind = {
  group: policyGroup,
  kind: clusterNetworkPolicyKind.kind,
  versions: policyVersions,
};
const EVALUATED = [POD, NAMESPACE, NODE, POLICY, CLUSTER_POLICY];

/** A pod of the manifests, or one that a template makes. */
interface MadePod {
  readonly object: ManifestObject;
  readonly origin: Origin;
}

/** The cluster of `objects`; what has no namespace is in `namespace`. */
export function clusterOf(
  objects: readonly ManifestObject[],
  namespace: string,
  warn: Warn,
): ReadCluster {
  function decode<T>(kind: ObjectKind<T>, chosen: readonly ManifestObject[]): readonly T[] {
    return [...lastOfEach(kind.name, chosen, warn)].flatMap(([key, object]) => {
      const { value, problems } = kind.decode(object);
      if (problems.length > 0) warn(kind.name, key, problems);
      return value === undefined ? [] : [value];
    });
  }
  const placed = (it: ManifestObject): ManifestObject => ({
    ...it,
    metadata: { ...it.metadata, namespace: it.metadata["namespace"] || namespace },
  });
  const ofKind = (kind: EvaluatedKind): readonly ManifestObject[] =>
    objects.filter((it) => isEvaluated(it, kind));
  const made = podsOf(objects.map(placed), warn);
  const origins = new Map(made.map(({ object, origin }) => [objectKey(object) ?? "", origin]));
  const pods = decode(podKind, made.map((it) => it.object));
  const policies = decode(networkPolicyKind, ofKind(POLICY).map(placed));
  const unsaid = [...new Set([namespace, ...pods.map((it) => it.namespace)])].map((name) => ({
    apiVersion: "v1",
    kind: NAMESPACE.kind,
    metadata: { name },
  }));
  const namespaces = new Map(unsaid.map((it) => [it.metadata.name, it]));
  const said = [...lastOfEach(namespaceKind.name, ofKind(NAMESPACE), warn).values()];
  for (const it of said) namespaces.delete(objectKey(it) ?? "");
  const unread = unreadOf(objects);
  return {
    cluster: {
      pods,
      policies,
      clusterPolicies: decode(clusterNetworkPolicyKind, ofKind(CLUSTER_POLICY)),
      namespaces: decode(namespaceKind, [...namespaces.values(), ...said].map(withNameLabel)),
      nodes: decode(nodeKind, ofKind(NODE)),
    },
    unread,
    notEvaluated: describeUnevaluated(objects.filter((it) => !isUnread(it)), EVALUATED),
    origins,
  };
}

/** The last of several with one name counts, as with `kubectl apply`. */
function lastOfEach(
  kind: string,
  objects: readonly ManifestObject[],
  warn: Warn,
): ReadonlyMap<string, ManifestObject> {
  const byKey = new Map<string, ManifestObject>();
  const contested = new Set<string>();
  for (const object of objects) {
    const key = objectKey(object) ?? "";
    const before = byKey.get(key);
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(object)) {
      contested.add(key);
    }
    byKey.set(key, object);
  }
  for (const key of contested) {
    warn(kind, key, ["it is there more than once, and not alike: the last one counts"]);
  }
  return byKey;
}

/** Sentences about the policies among `objects` that decide and cannot be read. */
function unreadOf(objects: readonly ManifestObject[]): readonly string[] {
  const { kind } = CLUSTER_POLICY;
  return objects.filter(isUnread).map((it) =>
    `${kind} ${objectKey(it) ?? ""} is of ${it.apiVersion}, and this version of Calyx reads ` +
    policyVersions.join(" and ")
  );
}

function isUnread(object: ManifestObject): boolean {
  return object.kind === CLUSTER_POLICY.kind && groupOf(object.apiVersion) === policyGroup &&
    !isEvaluated(object, CLUSTER_POLICY);
}

function withNameLabel(object: ManifestObject): ManifestObject {
  const { labels, name } = object.metadata;
  const own = typeof labels === "object" ? labels : {};
  return { ...object, metadata: { ...object.metadata, labels: { ...own, [NAME_LABEL]: name } } };
}

/**
 * The pods of `objects`, named after their workload. Where several workloads of a namespace have one
 * name each is named with its kind, `deployment/shop`: no pod's own name holds a slash.
 */
function podsOf(objects: readonly ManifestObject[], warn: Warn): readonly MadePod[] {
  const made = objects.flatMap((object) => {
    const origin = originOf(object);
    const pod = origin === undefined ? undefined : podOf(object);
    return origin === undefined || pod === undefined ? [] : [{ object: pod, origin }];
  });
  const groups = Map.groupBy(made, ({ object }) => objectKey(object) ?? "");
  return [...groups.values()].flatMap((group) => {
    const byWord = Map.groupBy(group, (it) => it.origin.word);
    return [...byWord].flatMap(([word, ofWord]) => {
      const last = [...lastOfEach(word, ofWord.map((it) => it.object), warn).values()].at(-1);
      const { origin } = ofWord.at(-1) ?? {};
      if (last === undefined || origin === undefined) return [];
      const object = byWord.size === 1
        ? last
        : { ...last, metadata: { ...last.metadata, name: `${word}/${origin.name}` } };
      return [{ object, origin: { ...origin, replicas: scaledOf(objects, last, origin) } }];
    });
  });
}

/** How many pods there may be, also by a HorizontalPodAutoscaler. */
function scaledOf(
  objects: readonly ManifestObject[],
  { metadata }: ManifestObject,
  { kind, name, replicas }: Origin,
): number {
  const scales = objects.filter((it) =>
    it.kind === "HorizontalPodAutoscaler" && groupOf(it.apiVersion) === "autoscaling" &&
    it.metadata["namespace"] === metadata["namespace"]
  ).map((it) => recordOf(it["spec"]))
    .filter((it) => {
      const target = recordOf(it["scaleTargetRef"]);
      return target["kind"] === kind && target["name"] === name;
    }).map((it) => Number(it["maxReplicas"]) || 1);
  return Math.max(replicas, ...scales);
}

/** The pod itself, or the one that the workload's template makes. */
function podOf(object: ManifestObject): ManifestObject | undefined {
  if (isEvaluated(object, POD)) return object;
  const template = podSpecOf(object);
  if (template === undefined) return undefined;
  const { name, namespace } = object.metadata;
  const metadata = { name, namespace, labels: template.labels };
  return { apiVersion: "v1", kind: POD.kind, metadata, spec: template.spec };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
