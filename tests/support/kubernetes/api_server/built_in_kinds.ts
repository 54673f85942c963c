/**
 * The kinds that the small API server serves from the start: pods, namespaces, nodes, config maps and
 * network policies. A test registers what else it needs.
 */

import { NAMESPACE_RULES, NODE_RULES, POD_RULES } from "./core_rules.ts";
import type { ApiKind } from "./kind.ts";
import { NETWORK_POLICY_RULES } from "./network_policy_rules.ts";

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
