/** What the server says about itself: version, health, groups, and the kinds in each. */

import { apiVersionOf } from "./kind.ts";
import type { JsonObject } from "./object.ts";
import type { Store } from "./store.ts";

const VERBS = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "update",
  "watch",
];

/** The answer to a path that is about the server itself; `undefined` for any other path. */
export function discover(
  path: string,
  store: Store,
  minor: number,
): JsonObject | string | undefined {
  const kinds = store.collections.map(({ kind }) => kind);
  switch (path.replace(/(.)\/$/, "$1")) {
    case "/healthz":
    case "/livez":
    case "/readyz":
      return "ok";
    case "/version":
      return {
        major: "1",
        minor: String(minor),
        gitVersion: `v1.${minor}.0-small`,
        gitCommit: "none",
        gitTreeState: "clean",
        buildDate: "2025-01-01T00:00:00Z",
        goVersion: "none",
        compiler: "none",
        platform: "linux/amd64",
      };
    case "/api":
      return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
    case "/apis": {
      const groups = new Set(kinds.map((it) => it.group).filter((it) => it !== ""));
      return {
        kind: "APIGroupList",
        apiVersion: "v1",
        groups: [...groups].map((group) => describeGroup(group, kinds)),
      };
    }
  }
  const [, root, ...words] = path.split("/");
  if (root === "apis" && words.length === 1 && kinds.some((it) => it.group === words[0])) {
    return { kind: "APIGroup", apiVersion: "v1", ...describeGroup(words[0] ?? "", kinds) };
  }
  const groupVersion = words.join("/");
  const isVersion = root === "api" ? words.length === 1 : root === "apis" && words.length === 2;
  const here = kinds.filter((it) => apiVersionOf(it) === groupVersion);
  if (!isVersion || here.length === 0) return undefined;
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion,
    resources: here.flatMap((it) => {
      const { plural, kind, namespaced } = it;
      const common = { singularName: kind.toLowerCase(), namespaced, kind };
      const whole = { ...common, name: plural, verbs: VERBS, shortNames: it.shortNames ?? [] };
      const status = { ...common, name: `${plural}/status`, verbs: ["get", "patch", "update"] };
      return it.hasStatus === true ? [whole, status] : [whole];
    }),
  };
}

function describeGroup(
  group: string,
  kinds: readonly { readonly group: string; readonly version: string }[],
): JsonObject {
  const versions = new Set(kinds.filter((it) => it.group === group).map((it) => it.version));
  const described = [...versions].sort(compareVersions).map((version) => ({
    groupVersion: `${group}/${version}`,
    version,
  }));
  return { name: group, versions: described, preferredVersion: described[0] };
}

/** As `CompareKubeAwareVersionStrings` of apimachinery has it: v2, v1, v1beta2, v1beta1, v1alpha1. */
function compareVersions(a: string, b: string): number {
  const [one, other] = [a, b].map((it) => {
    const [, major = "0", stage = "", minor = "0"] = /^v(\d+)(alpha|beta)?(\d+)?$/.exec(it) ?? [];
    return [["alpha", "beta", ""].indexOf(stage), Number(major), Number(minor)];
  });
  const index = (one ?? []).findIndex((it, at) => it !== other?.[at]);
  return index < 0 ? 0 : (other?.[index] ?? 0) - (one?.[index] ?? 0);
}
