/**
 * What of manifests looks as if it decided and does not count here: policies of other engines, of groups
 * and versions that are not read, and kinds that are misspelt, which no API server takes. Objects are
 * what their API group and kind say. Pure.
 */

import { nearestWord } from "../../lib/base/nearest_word.ts";
import { objectKey } from "../../lib/datastore/kind.ts";
import type { ManifestObject } from "./document.ts";
import { groupOf, originOf, WORKLOAD_KINDS } from "./workload_kind.ts";

/** A kind that is evaluated. */
export interface EvaluatedKind {
  readonly group: string;
  readonly kind: string;
  readonly versions: readonly string[];
}

/** Groups whose policies are not about the network, or about something else than who may connect. */
const OTHER_GROUPS_REGEXP =
  /^(policy|flowcontrol\.apiserver\.k8s\.io|admissionregistration\.k8s\.io|gateway\.networking\.k8s\.io|kyverno\.io)$/;
/** What policies are called, in every group. */
const POLICY_REGEXP = /polic(y|ies)$|netpol|firewall/i;
/** Groups of policy engines, and what decides there beside policies. */
const ENGINES_REGEXP = /(^|\.)(projectcalico\.org|cilium\.io|antrea\.io|networking\.k8s\.io)$/;
const DECIDING_REGEXP = /(endpoint|networkset|tier|group|profile|policyrecommendation)$/i;
/** What else the group of NetworkPolicy has. */
const NETWORKING_KINDS = ["Ingress", "IngressClass", "IPAddress", "ServiceCIDR", "ClusterCIDR"];
/** Groups in which a kind that is not known is misspelt, or of an API that is not read. */
const POLICY_GROUPS = ["networking.k8s.io", "policy.networking.k8s.io"];
/** How many objects of a kind are named. */
export const NAMES_SHOWN_MAX = 5;
/** Why a policy of another engine is not evaluated. */
export const NOT_ENFORCED = "Calyx does not enforce it";

/** Sentences about the objects that are not of `kinds` but look like policies. */
export function describeUnevaluated(
  objects: readonly ManifestObject[],
  kinds: readonly EvaluatedKind[],
): readonly string[] {
  const found = objects.flatMap((object) => {
    const reason = reasonOf(object, kinds);
    return reason === undefined ? [] : [{ object, reason }];
  });
  const groups = Map.groupBy(
    found,
    ({ object, reason }) => JSON.stringify([object.apiVersion, object.kind, reason]),
  );
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { object: { apiVersion, kind }, reason } = first;
    const names = group.map(({ object }) => objectKey(object) ?? "without a name");
    return [formatUnevaluated({ kind, apiVersion, names, count: group.length, reason })];
  });
}

/** Objects of one kind that do not count. */
export interface Unevaluated {
  readonly kind: string;
  readonly apiVersion: string;
  /** A few at least; those beyond are only counted. */
  readonly names: readonly string[];
  /** How many there are. */
  readonly count: number;
  readonly reason: string;
}

/** `CiliumNetworkPolicy shop/a, shop/b of cilium.io/v2 are not evaluated: …`. */
export function formatUnevaluated(
  { kind, apiVersion, names, count, reason }: Unevaluated,
): string {
  const verb = count === 1 ? "is" : "are";
  return `${kind} ${formatNames(names, count)} of ${apiVersion} ${verb} not evaluated: ${reason}`;
}

/** Whether `object` is one of `kind`, in a version that is read. */
export function isEvaluated(object: ManifestObject, kind: EvaluatedKind): boolean {
  const { group, versions } = kind;
  return object.kind === kind.kind &&
    versions.some((it) => object.apiVersion === (group === "" ? it : `${group}/${it}`));
}

/** Why it is not evaluated; `undefined` for what is, and for what decides nothing. */
function reasonOf(
  object: ManifestObject,
  kinds: readonly EvaluatedKind[],
): string | undefined {
  const { kind, apiVersion } = object;
  if (kinds.some((it) => isEvaluated(object, it)) || originOf(object) !== undefined) {
    return undefined;
  }
  const group = groupOf(apiVersion);
  const known = [
    ...kinds,
    ...WORKLOAD_KINDS.map((it) => ({ ...it, versions: ["v1"] })),
  ];
  const same = known.find((it) => it.kind === kind);
  if (same !== undefined) return `Calyx reads ${kind} of ${formatVersions(same)}`;
  const isOther = OTHER_GROUPS_REGEXP.test(group);
  const isTheirs = POLICY_REGEXP.test(kind) ||
    (ENGINES_REGEXP.test(group) && DECIDING_REGEXP.test(kind));
  const nearest = nearestWord(kind, known.map((it) => it.kind));
  const meant = known.find((it) => it.kind === nearest);
  if (meant !== undefined && (group === meant.group || !group.includes("."))) {
    return `there is no such kind; did you mean ${meant.kind} of ${formatVersions(meant)}?`;
  }
  if (isTheirs && !isOther) return NOT_ENFORCED;
  const isStrange = POLICY_GROUPS.includes(group) && !NETWORKING_KINDS.includes(kind);
  return isStrange ? "Calyx does not know this kind" : undefined;
}

function formatVersions({ group, versions }: EvaluatedKind): string {
  return versions.map((it) => group === "" ? it : `${group}/${it}`).join(" and ");
}

function formatNames(names: readonly string[], count: number): string {
  const shown = names.slice(0, NAMES_SHOWN_MAX);
  const more = count - shown.length;
  return more <= 0 ? shown.join(", ") : `${shown.join(", ")} and ${more} more`;
}
