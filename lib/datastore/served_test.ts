import { assertEquals, assertRejects } from "@std/assert";
import type { ApiKind } from "../../tests/support/kubernetes/api_server/kind.ts";
import {
  type SmallApiServer,
  startApiServer,
} from "../../tests/support/kubernetes/api_server/server.ts";
import { lying } from "../../tests/support/kubernetes/lying_api.ts";
import { type ApiServer, openApiServer } from "../credentials/api_server.ts";
import { DatastoreError } from "./error.ts";
import type { VersionedKind } from "./kind.ts";
import { describeUnknown, discover, hasNoObjects } from "./served.ts";

const GROUP = "policy.networking.k8s.io";

const kind: VersionedKind<string> = {
  name: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  group: GROUP,
  versions: ["v1beta1", "v1alpha2"],
  decode: () => ({ value: "", problems: [] }),
};

function served(version: string, plural = kind.name, kindName = kind.kind): ApiKind {
  return { group: GROUP, version, plural, kind: kindName, namespaced: false, custom: true };
}

const ADMIN = served("v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy");

async function withServer(
  kinds: readonly ApiKind[],
  use: (api: ApiServer, server: SmallApiServer) => Promise<void>,
): Promise<void> {
  await using server = startApiServer();
  for (const it of kinds) server.store.register(it);
  await using api = await openApiServer({
    environment: { apiEndpoint: server.url },
    userAgent: "test",
  });
  await use(api, server);
}

const CASES: readonly (readonly [string, readonly ApiKind[], string])[] = [
  ["no such group", [], "absent"],
  ["another kind of the group", [ADMIN], "absent"],
  ["v1alpha2", [served("v1alpha2")], "served v1alpha2"],
  ["v1beta1", [served("v1beta1")], "served v1beta1"],
  ["both", [served("v1alpha2"), served("v1beta1")], "served v1beta1"],
  ["both and a newer one", ["v1alpha2", "v1beta1", "v1"].map((it) => served(it)), "served v1beta1"],
  ["a newer one alone", [served("v1")], "unknown v1"],
  ["newer ones beside another kind", [served("v1"), served("v2"), ADMIN], "unknown v2 v1"],
  [
    "another kind in a version that we know",
    [served("v1beta1", ADMIN.plural, ADMIN.kind), served("v1alpha2")],
    "served v1alpha2",
  ],
];

for (const [what, kinds, expected] of CASES) {
  Deno.test(`discover() of a server with ${what}: ${expected}`, async () => {
    await withServer(kinds, async (api) => {
      const found = await discover(api, kind);
      const versions = found.state === "served"
        ? [found.version]
        : found.state === "unknown"
        ? found.versions
        : [];
      assertEquals([found.state, ...versions].join(" "), expected);
      if (found.state === "served") {
        assertEquals(found.kind.path, `/apis/${GROUP}/${found.version}/clusternetworkpolicies`);
      }
    });
  });
}

/** What answers instead of the server, by path. */
const LIES: readonly (readonly [string, RegExp, number, string])[] = [
  ["everything is 404, as with a proxy's wrong prefix", /./, 404, "page not found"],
  ["everything is a page", /./, 200, "<html>"],
  ["the group is another one", /\/apis\/[^/]+$/, 200, '{"kind":"APIGroup","name":"apps"}'],
  ["the group is 503", /\/apis\/[^/]+$/, 503, "starting"],
  ["the version is 404", /\/v1alpha2$/, 404, "page not found"],
  [
    "the version is of no list",
    /\/v1alpha2$/,
    200,
    '{"kind":"APIResourceList","resources":[null]}',
  ],
  ["the group is 404 and in the list of groups", /\/apis\/[^/]+$/, 404, "page not found"],
];

for (const [what, paths, status, body] of LIES) {
  Deno.test(`discover() does not take it for absence when ${what}`, async () => {
    await withServer([served("v1alpha2")], async (api) => {
      const liar = lying(
        api,
        (path) => paths.test(path) ? new Response(body, { status }) : undefined,
      );
      await assertRejects(() => discover(liar, kind), DatastoreError);
    });
  });
}

Deno.test("discover() tries the versions where discovery is forbidden, and then proves nothing", async () => {
  const forbidding = (api: ApiServer): ApiServer =>
    lying(
      api,
      (path) =>
        /^\/apis(\/[^/]+){0,2}$/.test(path) ? new Response("no", { status: 403 }) : undefined,
    );
  await withServer([served("v1alpha2")], async (api) => {
    const found = await discover(forbidding(api), kind);
    assertEquals([found.state, found.state === "served" && found.version], ["served", "v1alpha2"]);
  });
  for (const kinds of [[], [served("v9")]]) {
    await withServer(kinds, async (api) => {
      const error = await assertRejects(() => discover(forbidding(api), kind), DatastoreError);
      assertEquals(error.status, 403);
    });
  }
});

Deno.test("hasNoObjects() and describeUnknown() say what of a version that is not known", async () => {
  await withServer([served("v1")], async (api, server) => {
    assertEquals(await hasNoObjects(api, kind, "v1"), true);
    server.store.create(kind.name, { metadata: { name: "deny" } });
    assertEquals(await hasNoObjects(api, kind, "v1"), false);
  });
  assertEquals(
    describeUnknown(kind, ["v2", "v1"]),
    "The API server serves ClusterNetworkPolicy only as policy.networking.k8s.io/v2 and " +
      "policy.networking.k8s.io/v1, and this version of Calyx reads v1beta1 and v1alpha2: " +
      "upgrade Calyx, or let the CustomResourceDefinition serve one of these",
  );
});
