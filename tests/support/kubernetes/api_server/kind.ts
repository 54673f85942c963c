/**
 * What kinds of object the small API server serves, as data. Pods, namespaces, nodes and network
 * policies are there from the start; a test registers what else it needs.
 */

import type { KubernetesObject } from "./object.ts";
import type { StatusCause } from "./status.ts";
import { NAMESPACE_RULES, NODE_RULES, POD_RULES } from "./core_rules.ts";
import { NETWORK_POLICY_RULES } from "./network_policy_rules.ts";

/** What is special about one kind. All functions take objects of their own and may change them. */
export interface KindRules {
  /** Fills in what the server defaults; before every create and update. */
  default?(object: KubernetesObject): void;
  /** After `default`, on creation only: a new pod's phase. */
  prepare?(object: KubernetesObject): void;
  /** Fields that only certain requests may change: copies them over from the stored object. */
  keep?(object: KubernetesObject, stored: KubernetesObject): void;
  /** Every reason to refuse the object. */
  validate?(object: KubernetesObject, stored: KubernetesObject | undefined): readonly StatusCause[];
}

/** One kind of object. */
export interface ApiKind {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Whether `/status` exists, and an ordinary update leaves the status alone. */
  readonly hasStatus?: boolean;
  /** Whether `metadata.generation` counts changes of the desired state. @default {true} */
  readonly hasGeneration?: boolean;
  /** Whether a deletion answers with the object rather than a `Status`. */
  readonly returnsDeleted?: boolean;
  /** A custom resource: updates must carry a resourceVersion, strategic merge is refused. */
  readonly custom?: boolean;
  /** Selectable fields beside metadata.name and metadata.namespace. */
  readonly selectableFields?: readonly string[];
  readonly shortNames?: readonly string[];
  readonly rules?: KindRules;
}

/** Kinds that are always there. */
export const BUILT_IN_KINDS: readonly ApiKind[] = [
  {
    group: "",
    version: "v1",
    plural: "pods",
    kind: "Pod",
    namespaced: true,
    hasStatus: true,
    hasGeneration: false,
    returnsDeleted: true,
    selectableFields: [
      "spec.nodeName",
      "spec.restartPolicy",
      "spec.schedulerName",
      "spec.serviceAccountName",
      "status.phase",
      "status.podIP",
      "status.nominatedNodeName",
    ],
    shortNames: ["po"],
    rules: POD_RULES,
  },
  {
    group: "",
    version: "v1",
    plural: "namespaces",
    kind: "Namespace",
    namespaced: false,
    hasStatus: true,
    hasGeneration: false,
    returnsDeleted: true,
    selectableFields: ["status.phase"],
    shortNames: ["ns"],
    rules: NAMESPACE_RULES,
  },
  {
    group: "",
    version: "v1",
    plural: "nodes",
    kind: "Node",
    namespaced: false,
    hasStatus: true,
    hasGeneration: false,
    selectableFields: ["spec.unschedulable"],
    shortNames: ["no"],
    rules: NODE_RULES,
  },
  {
    group: "",
    version: "v1",
    plural: "configmaps",
    kind: "ConfigMap",
    namespaced: true,
    hasGeneration: false,
    shortNames: ["cm"],
  },
  {
    group: "networking.k8s.io",
    version: "v1",
    plural: "networkpolicies",
    kind: "NetworkPolicy",
    namespaced: true,
    shortNames: ["netpol"],
    rules: NETWORK_POLICY_RULES,
  },
];

/** `v1`, or `networking.k8s.io/v1`. */
export function apiVersionOf(kind: Pick<ApiKind, "group" | "version">): string {
  return kind.group === "" ? kind.version : `${kind.group}/${kind.version}`;
}

/** `pods`, or `networkpolicies.networking.k8s.io`: as messages name a kind. */
export function dottedName(kind: Pick<ApiKind, "group" | "plural">): string {
  return kind.group === "" ? kind.plural : `${kind.plural}.${kind.group}`;
}
