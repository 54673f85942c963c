/**
 * Defaults and checks of pods, namespaces and nodes: those that a client of the API can trip over,
 * not all that the real server has.
 */

import type { KindRules } from "./kind.ts";
import { asList, asObject, equalJson, type JsonObject, type KubernetesObject } from "./object.ts";
import type { StatusCause } from "./status.ts";

/** Pod: phase Pending when new; a spec that hardly changes afterwards; at least one container. */
export const POD_RULES: KindRules = {
  default(pod) {
    const spec = asObject(pod.spec);
    spec.restartPolicy ??= "Always";
    spec.dnsPolicy ??= "ClusterFirst";
    spec.schedulerName ??= "default-scheduler";
    spec.terminationGracePeriodSeconds ??= 30;
    spec.securityContext ??= {};
    spec.enableServiceLinks ??= true;
    if (spec.hostNetwork === false) delete spec.hostNetwork;
    pod.spec = spec;
  },
  prepare(pod) {
    pod.status = { phase: "Pending", qosClass: "BestEffort" };
  },
  validate(pod, stored) {
    const causes: StatusCause[] = [];
    const containers = asList(asObject(pod.spec).containers).map(asObject);
    if (containers.length === 0) causes.push(required("spec.containers"));
    containers.forEach(({ name, image }, i) => {
      if (typeof name !== "string" || name === "") {
        causes.push(required(`spec.containers[${i}].name`));
      }
      if (typeof image !== "string" || image === "") {
        causes.push(required(`spec.containers[${i}].image`));
      }
    });
    if (stored !== undefined && !equalJson(fixedSpec(pod), fixedSpec(stored))) {
      causes.push({
        field: "spec",
        reason: "FieldValueForbidden",
        message: "Forbidden: only images, activeDeadlineSeconds and tolerations may change",
      });
    }
    return causes;
  },
};

/** Namespace: phase Active, and the label that carries its own name. */
export const NAMESPACE_RULES: KindRules = {
  default(namespace) {
    const { metadata } = namespace;
    metadata.labels = {
      ...metadata.labels,
      "kubernetes.io/metadata.name": metadata.name ?? "",
    };
  },
  prepare(namespace) {
    namespace.spec = { finalizers: ["kubernetes"] };
    namespace.status = { phase: "Active" };
  },
  keep(namespace, stored) {
    namespace.spec = stored.spec;
  },
};

/** Node: its pod CIDRs are set once; `podCIDR` and the first of `podCIDRs` are the same. */
export const NODE_RULES: KindRules = {
  default(node) {
    const spec = asObject(node.spec);
    const podCidrs = asList(spec.podCIDRs);
    if (spec.podCIDR === undefined && podCidrs.length > 0) spec.podCIDR = podCidrs[0];
    if (typeof spec.podCIDR === "string" && podCidrs.length === 0) spec.podCIDRs = [spec.podCIDR];
    node.spec = spec;
  },
  validate(node, stored) {
    const before = stored === undefined ? [] : asList(asObject(stored.spec).podCIDRs);
    if (before.length === 0 || equalJson(before, asObject(node.spec).podCIDRs)) return [];
    return [{
      field: "spec.podCIDRs",
      reason: "FieldValueForbidden",
      message: "Forbidden: pod CIDRs may not change once they are set",
    }];
  },
};

function fixedSpec(pod: KubernetesObject): JsonObject {
  const withoutImage = (container: unknown): JsonObject => ({
    ...asObject(container),
    image: undefined,
  });
  const spec = asObject(pod.spec);
  return {
    ...spec,
    containers: asList(spec.containers).map(withoutImage),
    initContainers: asList(spec.initContainers).map(withoutImage),
    activeDeadlineSeconds: undefined,
    tolerations: undefined,
  };
}

function required(field: string): StatusCause {
  return { field, reason: "FieldValueRequired", message: "Required value" };
}
