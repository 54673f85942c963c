/**
 * Policies of other engines that an API server has: they look as if they decided, and Calyx does not
 * enforce them. Asked for by the groups that the server serves (`APIGroupList` of `meta/v1`), a few
 * objects of each kind.
 */

import { isRecord } from "../../lib/base/json.ts";
import type { ApiServer } from "../../lib/credentials/api_server.ts";
import { DatastoreError } from "../../lib/datastore/error.ts";
import { objectKey } from "../../lib/datastore/kind.ts";
import { getJson } from "../../lib/datastore/request.ts";
import { formatUnevaluated, NAMES_SHOWN_MAX, NOT_ENFORCED } from "./unevaluated.ts";

/** Group, kind and plural of what other engines call their policies. */
const FOREIGN_KINDS: readonly (readonly [group: string, kind: string, plural: string])[] = [
  ["policy.networking.k8s.io", "AdminNetworkPolicy", "adminnetworkpolicies"],
  ["policy.networking.k8s.io", "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies"],
  ["cilium.io", "CiliumNetworkPolicy", "ciliumnetworkpolicies"],
  ["cilium.io", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies"],
  ["crd.projectcalico.org", "NetworkPolicy", "networkpolicies"],
  ["crd.projectcalico.org", "GlobalNetworkPolicy", "globalnetworkpolicies"],
  ["crd.antrea.io", "NetworkPolicy", "networkpolicies"],
  ["crd.antrea.io", "ClusterNetworkPolicy", "clusternetworkpolicies"],
];

/**
 * Sentences about the policies of other engines; what the server does not say of them is left out, since
 * no verdict depends on it.
 *
 * @throws {DOMException} if `signal` aborts
 */
export async function describeForeignPolicies(
  api: ApiServer,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const versions = await readVersions(api, signal);
  const sentences = await Promise.all(FOREIGN_KINDS.map(async ([group, kind, plural]) => {
    for (const version of versions.get(group) ?? []) {
      const apiVersion = `${group}/${version}`;
      const found = await listNames(api, apiVersion, plural, signal);
      if (found === undefined) continue;
      if (found.count === 0) return [];
      return [formatUnevaluated({ kind, apiVersion, ...found, reason: NOT_ENFORCED })];
    }
    return [];
  }));
  return sentences.flat();
}

/** The versions of each group that is served, the preferred one first. */
async function readVersions(
  api: ApiServer,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const answer = await orUndefined(getJson(api, "/apis", "read the API groups", signal));
  const groups = isRecord(answer) && Array.isArray(answer.groups) ? answer.groups : [];
  return new Map(
    groups.filter(isRecord).map((it) => {
      const others = Array.isArray(it.versions) ? it.versions : [];
      const versions = [it.preferredVersion, ...others]
        .map((version: unknown) => isRecord(version) ? version.version : undefined)
        .filter((version) => typeof version === "string");
      return [String(it.name), [...new Set(versions)]] as const;
    }),
  );
}

interface Found {
  readonly names: readonly string[];
  readonly count: number;
}

/** The names of the first objects, and how many there are; `undefined` if the server does not say. */
async function listNames(
  api: ApiServer,
  apiVersion: string,
  plural: string,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const path = `/apis/${apiVersion}/${plural}?limit=${NAMES_SHOWN_MAX}`;
  const list = await orUndefined(getJson(api, path, `list ${plural}`, signal));
  if (!isRecord(list) || !Array.isArray(list.items)) return undefined;
  const { remainingItemCount } = isRecord(list.metadata) ? list.metadata : {};
  const names = list.items.map((it) => objectKey(it) ?? "without a name");
  const more = typeof remainingItemCount === "number" ? remainingItemCount : 0;
  return { names, count: names.length + more };
}

async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof DatastoreError) return undefined;
    throw error;
  }
}
