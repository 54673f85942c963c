/**
 * The scenario against a real kube-apiserver with etcd: TLS, RBAC with the manifest's own role, a
 * bearer token. Without their binaries one line says so, and it is skipped.
 */

import { assertEquals } from "@std/assert";
import { findAssets } from "../support/program/assets.ts";
import { startControlPlane } from "../support/kubernetes/control_plane.ts";
import { requireIsolation } from "../support/isolation/isolation.ts";
import { skippableTest } from "../support/program/program.ts";
import { runScenario } from "../support/node/scenario.ts";

const found = await findAssets(["etcd", "kube-apiserver"]);

skippableTest(
  "the scenario against a real API server: TLS, RBAC, a bearer token",
  "missing" in found ? found.missing : undefined,
  async () => {
    requireIsolation();
    const plane = await startControlPlane();
    if ("missing" in plane) throw new Error(plane.missing);
    await using server = plane;
    const environment = {
      K8S_API_ENDPOINT: server.url,
      K8S_CA_FILE: server.certificates.caFile,
      K8S_TOKEN: server.serviceToken,
    };
    const result = await runScenario({
      api: { fetch: (path, init) => server.fetch(path, init), environment },
    });
    assertEquals(result.right, true, JSON.stringify(result, null, 2));
  },
);
