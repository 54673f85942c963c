/**
 * The kinds of Kubernetes whose objects make pods from a template, and the words for them on the command
 * line: those of `kubectl api-resources`. Pure.
 */

import type { ManifestObject } from "./document.ts";

/** A kind of workload that creates pods. */
export interface WorkloadKind {
  readonly group: string;
  readonly kind: string;
  /** Lower-case words for it, the singular first. */
  readonly words: readonly string[];
}

/** Pods themselves, which are their own template. */
const POD_KIND: WorkloadKind = { group: "", kind: "Pod", words: ["pod", "pods", "po"] };

const TEMPLATE_KINDS: readonly WorkloadKind[] = [
  { group: "apps", kind: "Deployment", words: ["deployment", "deployments", "deploy"] },
  { group: "apps", kind: "StatefulSet", words: ["statefulset", "statefulsets", "sts"] },
  { group: "apps", kind: "DaemonSet", words: ["daemonset", "daemonsets", "ds"] },
  { group: "apps", kind: "ReplicaSet", words: ["replicaset", "replicasets", "rs"] },
  { group: "batch", kind: "Job", words: ["job", "jobs"] },
  { group: "batch", kind: "CronJob", words: ["cronjob", "cronjobs", "cj"] },
  {
    group: "",
    kind: "ReplicationController",
    words: ["replicationcontroller", "replicationcontrollers", "rc"],
  },
];

/** All of them. */
export const WORKLOAD_KINDS: readonly WorkloadKind[] = [POD_KIND, ...TEMPLATE_KINDS];

/** Where a pod of a manifest comes from. */
export interface Origin {
  readonly kind: string;
  /** Lower-case, as the command line has it: `deployment`, or `rollout.argoproj.io`. */
  readonly word: string;
  /** The object's own name. */
  readonly name: string;
  /** How many pods it creates, as far as the object shows: 1, or more. */
  readonly replicas: number;
}

/** The API group of an `apiVersion`; empty for the core's. */
export function groupOf(apiVersion: string): string {
  const separator = apiVersion.indexOf("/");
  return separator < 0 ? "" : apiVersion.slice(0, separator);
}

/** Whether `word` names the origin: `deploy`, `deployments` or `deployment.apps` a Deployment. */
export function isNamedBy(origin: Origin, word: string): boolean {
  const wanted = word.toLowerCase();
  const kind = WORKLOAD_KINDS.find((it) => it.words[0] === origin.word);
  if (kind === undefined) {
    return wanted === origin.word || wanted === origin.kind.toLowerCase();
  }
  const [first = "", ...group] = wanted.split(".");
  return kind.words.includes(first) && (group.length === 0 || group.join(".") === kind.group);
}

/** Whether `word` names one of Kubernetes' kinds. */
export function isWorkloadWord(word: string): boolean {
  return WORKLOAD_KINDS.some(({ kind, words: [first = ""] }) =>
    isNamedBy({ kind, word: first, name: "", replicas: 1 }, word)
  );
}

/** The workload or pod that `object` is; `undefined` if it creates no pods, as far as the object shows. */
export function originOf(object: ManifestObject): Origin | undefined {
  const { kind, apiVersion, metadata } = object;
  const name = typeof metadata["name"] === "string" ? metadata["name"] : "";
  const group = groupOf(apiVersion);
  const known = WORKLOAD_KINDS.find((it) => it.kind === kind && it.group === group);
  if (known === POD_KIND && apiVersion !== "v1") return undefined;
  if (known === undefined && (isOfKubernetes(group) || podSpecOf(object) === undefined)) {
    return undefined;
  }
  const word = known?.words[0] ?? `${kind.toLowerCase()}.${group}`;
  return { kind, word, name, replicas: replicasOf(object) };
}

/** The pod's spec within a workload's template, and the labels of the pod. */
export function podSpecOf(object: ManifestObject): PodTemplate | undefined {
  const spec = recordOf(object["spec"]);
  const template = recordOf(
    spec["template"] ?? recordOf(recordOf(spec["jobTemplate"])["spec"])["template"],
  );
  const podSpec = recordOf(template["spec"]);
  if (!Array.isArray(podSpec["containers"])) return undefined;
  return { spec: podSpec, labels: recordOf(template["metadata"])["labels"] };
}

/** The fields of a pod template that policy needs. */
export interface PodTemplate {
  readonly spec: Readonly<Record<string, unknown>>;
  readonly labels: unknown;
}

/** Groups whose kinds are all known: an unknown one there is misspelt. */
function isOfKubernetes(group: string): boolean {
  return !group.includes(".");
}

/** A DaemonSet has a pod on each node, and without a number there is one. */
function replicasOf({ kind, spec }: ManifestObject): number {
  if (kind === "DaemonSet") return 2;
  const fields = recordOf(spec);
  const job = kind === "CronJob" ? recordOf(recordOf(fields["jobTemplate"])["spec"]) : fields;
  const count = kind === "Job" || kind === "CronJob" ? job["parallelism"] : fields["replicas"];
  return typeof count === "number" && count > 1 ? count : 1;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
