/**
 * In which version an API server serves a kind of a group: by the group's discovery documents
 * (`APIGroup` and `APIResourceList` of `meta/v1`). It tells "serves none" from "serves what we cannot
 * read" from "did not say", since only the first means that there are no objects.
 */

import { isRecord } from "../base/json.ts";
import type { ApiServer } from "../credentials/api_server.ts";
import { DatastoreError } from "./error.ts";
import { kindIn, type ResourceKind, type VersionedKind } from "./kind.ts";
import { listAll } from "./list.ts";
import { getJson } from "./request.ts";

/** The versions of a kind that a server serves. */
export type Served<T> =
  | { readonly state: "served"; readonly version: string; readonly kind: ResourceKind<T> }
  /** Only in versions that we do not know. */
  | { readonly state: "unknown"; readonly versions: readonly string[] }
  /** In no version. */
  | { readonly state: "absent" };

/**
 * Asks in which version to read `kind`: the first of its `versions` that the server serves.
 *
 * @throws {DatastoreError} if the server does not answer, refuses, or contradicts itself. A 404 may be
 * a proxy's or a server's that has not started in full: that the kind is absent must be said by the
 * list of all groups. Where discovery is forbidden, a version that can be listed is served.
 */
export async function discover<T>(
  api: ApiServer,
  kind: VersionedKind<T>,
  signal?: AbortSignal,
): Promise<Served<T>> {
  try {
    return await readDiscovery(api, kind, signal);
  } catch (error) {
    if (!(error instanceof DatastoreError && error.status === 403)) throw error;
    for (const version of kind.versions) {
      const served = { state: "served", version, kind: kindIn(kind, version) } as const;
      if (await canList(api, served.kind, signal)) return served;
    }
    throw error;
  }
}

async function canList<T>(
  api: ApiServer,
  kind: ResourceKind<T>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await listAll(api, kind, { ...(signal === undefined ? {} : { signal }) });
    return true;
  } catch (error) {
    if (error instanceof DatastoreError && error.status !== undefined) return false;
    throw error;
  }
}

async function readDiscovery<T>(
  api: ApiServer,
  kind: VersionedKind<T>,
  signal: AbortSignal | undefined,
): Promise<Served<T>> {
  const versions = await versionsOf(api, kind.group, signal);
  const isIn = (version: string): Promise<boolean> => hasKind(api, kind, version, signal);
  for (const version of kind.versions) {
    if (versions.includes(version) && await isIn(version)) {
      return { state: "served", version, kind: kindIn(kind, version) };
    }
  }
  const unknown: string[] = [];
  for (const version of versions) {
    if (!kind.versions.includes(version) && await isIn(version)) unknown.push(version);
  }
  return unknown.length > 0 ? { state: "unknown", versions: unknown } : { state: "absent" };
}

/** Whether an unknown version has no objects: then no policy can be missed. */
export async function hasNoObjects<T>(
  api: ApiServer,
  kind: VersionedKind<T>,
  version: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const path = `${kindIn(kind, version).path}?limit=1`;
  const list = await getJson(api, path, `list ${kind.name}`, signal);
  return isRecord(list) && list.kind === `${kind.kind}List` && Array.isArray(list.items) &&
    list.items.length === 0;
}

/** One sentence for `/readyz` when a server serves only unknown versions. */
export function describeUnknown<T>(kind: VersionedKind<T>, versions: readonly string[]): string {
  const served = versions.map((it) => `${kind.group}/${it}`).join(" and ");
  return `The API server serves ${kind.kind} only as ${served}, and this version of Calyx reads ` +
    `${
      kind.versions.join(" and ")
    }: upgrade Calyx, or let the CustomResourceDefinition serve one ` +
    "of these";
}

/** The versions of a group that a server serves; none where it has no such group. */
async function versionsOf(
  api: ApiServer,
  group: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const operation = `read the API group ${group}`;
  try {
    const answer = await getJson(api, `/apis/${group}`, operation, signal);
    const versions = isRecord(answer) && answer.kind === "APIGroup" && answer.name === group
      ? textsOf(answer.versions, "version")
      : undefined;
    if (versions === undefined) throw nonsense(operation, "is no APIGroup of that name");
    return versions;
  } catch (error) {
    if (!(error instanceof DatastoreError && error.status === 404)) throw error;
    const answer = await getJson(api, "/apis", "read the API groups", signal);
    const groups = isRecord(answer) && answer.kind === "APIGroupList"
      ? textsOf(answer.groups, "name")
      : undefined;
    // An answer without any group is not an API server's: networking.k8s.io is everywhere.
    if (groups === undefined || groups.length === 0) throw error;
    if (groups.includes(group)) throw error;
    return [];
  }
}

/** Whether a version of the group has the kind: others of the group may be in other versions. */
async function hasKind<T>(
  api: ApiServer,
  kind: VersionedKind<T>,
  version: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const groupVersion = `${kind.group}/${version}`;
  const operation = `read the API ${groupVersion}`;
  const answer = await getJson(api, `/apis/${groupVersion}`, operation, signal);
  const names = isRecord(answer) && answer.kind === "APIResourceList" &&
      answer.groupVersion === groupVersion
    ? textsOf(answer.resources, "name")
    : undefined;
  if (names === undefined) throw nonsense(operation, "is no APIResourceList of that version");
  return names.includes(kind.name);
}

/** `field` of each entry of a list; `undefined` if it is no list of such. */
function textsOf(list: unknown, field: string): readonly string[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const texts = list.map((it: unknown) => isRecord(it) ? it[field] : undefined)
    .filter((it) => typeof it === "string");
  return texts.length === list.length ? texts : undefined;
}

function nonsense(operation: string, what: string): DatastoreError {
  return new DatastoreError(`Cannot ${operation}: the answer ${what}`);
}
