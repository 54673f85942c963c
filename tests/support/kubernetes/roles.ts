/**
 * The service user's roles, read from the manifest that users apply, so that a test with the service
 * user's token fails when the manifest grants too little.
 */

import { parseYaml } from "../../../lib/base/yaml.ts";

/** What the manifest says about the service user. */
export interface Roles {
  /** `system:serviceaccount:<namespace>:<name>` */
  readonly user: string;
  /** Objects to create, in the manifest's order. */
  readonly objects: readonly ManifestObject[];
}

interface ManifestObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly subjects?: readonly { kind: string; name: string; namespace?: string }[];
}

/** The service user where there is no manifest. */
export const DEFAULT_USER = "system:serviceaccount:kube-system:calyx-agent";

const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const PATHS: Readonly<Record<string, string>> = {
  ClusterRole: `${RBAC}/clusterroles`,
  ClusterRoleBinding: `${RBAC}/clusterrolebindings`,
};

const DEPLOY = `${import.meta.dirname}/../../../deploy/`;

/**
 * Reads the cluster roles and bindings of a manifest.
 *
 * @param manifest a path; without it, those that the project deploys
 * @returns `undefined` if no path was given and there is no manifest
 * @throws {Error} if it cannot be read, or binds no service account
 */
export async function readRoles(manifest?: string): Promise<Roles | undefined> {
  const candidates = manifest === undefined
    ? [`${DEPLOY}rbac.yaml`, `${DEPLOY}calyx.yaml`]
    : [manifest];
  for (const path of candidates) {
    let text: string;
    try {
      text = await Deno.readTextFile(path);
    } catch (error) {
      if (manifest === undefined && error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    return parseRoles(text, path);
  }
  return undefined;
}

function parseRoles(text: string, path: string): Roles {
  const objects = text.split(/^---.*$/m)
    .map((document) => parseYaml(document) as ManifestObject | null)
    .filter((it) => it !== null && it !== undefined && Object.hasOwn(PATHS, it.kind))
    .map((it) => it as ManifestObject);
  const subject = objects.flatMap((it) => it.subjects ?? [])
    .find((it) => it.kind === "ServiceAccount");
  if (subject === undefined) {
    throw new Error(`${path} binds no ServiceAccount to a ClusterRole`);
  }
  return {
    user: `system:serviceaccount:${subject.namespace ?? "default"}:${subject.name}`,
    objects,
  };
}

/**
 * Creates the roles through the API.
 *
 * @throws {Error} if the server refuses one
 */
export async function grantRoles(
  ask: (path: string, init: RequestInit) => Promise<Response>,
  roles: Roles,
): Promise<void> {
  for (const object of roles.objects) {
    const response = await ask(PATHS[object.kind] ?? "", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(object),
    });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`The API server refused ${object.kind} ${object.metadata.name}: ${text}`);
    }
  }
}
