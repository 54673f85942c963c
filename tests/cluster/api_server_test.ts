/**
 * Holds the small API server of the tests against the real one: both must answer the same exchanges
 * the same way. Without the real one's binaries, its half is skipped, and the test's name says why.
 */

import { assertEquals } from "@std/assert";
import { startApiServer } from "../support/kubernetes/api_server/server.ts";
import { findAssets } from "../support/program/assets.ts";
import { type ControlPlane, startControlPlane } from "../support/kubernetes/control_plane.ts";
import { readRoles } from "../support/kubernetes/roles.ts";
import { PATIENCE_MS, until } from "../support/until.ts";
import { Api, type Exchange, type Served } from "./exchange.ts";
import { LIST_EXCHANGES } from "./list_exchanges.ts";
import { STATUS_EXCHANGES } from "./status_exchanges.ts";
import { STREAM_EXCHANGES } from "./stream_exchanges.ts";
import { WATCH_EXCHANGES } from "./watch_exchanges.ts";
import { WRITE_EXCHANGES } from "./write_exchanges.ts";

const EXCHANGES: readonly Exchange[] = [
  ...WRITE_EXCHANGES,
  ...STATUS_EXCHANGES,
  ...LIST_EXCHANGES,
  ...WATCH_EXCHANGES,
  ...STREAM_EXCHANGES,
];

const WIDGETS = {
  group: "test.calyx.example",
  version: "v1",
  plural: "widgets",
  kind: "Widget",
  namespaced: true,
};

for (const exchange of EXCHANGES) {
  Deno.test(`small API server: ${exchange.name}`, async () => {
    await using server = startApiServer({
      token: "secret",
      gracefulDeletion: true,
      ...(exchange.streams === "refused" ? { minor: 20 } : {}),
    });
    server.store.register({ ...WIDGETS, hasStatus: true, custom: true });
    await check(exchange, {
      url: server.url,
      token: "secret",
      fetch: (url, init) => fetch(url, init),
      expirePages: () => Promise.resolve(server.faults.expire()),
      expireWatches: () => Promise.resolve(server.faults.expire()),
    }, "exchange");
  });
}

const { missing } = await findAssets(["etcd", "kube-apiserver"]);

Deno.test({
  name: `real API server${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  ignore: missing !== undefined,
  async fn(t) {
    const plane = await startControlPlane();
    if ("missing" in plane) throw new Error(plane.missing);
    await using _ = plane;
    const noCustom = await whyNoCustom(plane);
    const streams = await doesStream(plane);
    if (noCustom === undefined) await registerWidgets(plane);
    const served: Served = {
      url: plane.url,
      token: plane.adminToken,
      fetch: (url, init) => plane.fetch(url.slice(plane.url.length), init),
      expirePages: async () => {
        await plane.compact();
        // From 1.34 on pages come out of the server's cache, which has some versions of before.
        if (await minorOf(plane) < 34) return;
        await plane.stopServer();
        await plane.restartServer();
      },
      // What it remembers for watches, it forgets when it restarts.
      expireWatches: async () => {
        await plane.stopServer();
        await plane.restartServer();
      },
    };
    await t.step({
      name: `the deployed roles let read, no more${hasRoles ? "" : " (skipped: no manifest)"}`,
      ignore: !hasRoles,
      fn: () => checkRoles(plane),
    });
    for (const [i, exchange] of EXCHANGES.entries()) {
      const skipped = exchange.streams !== undefined && exchange.streams !== streams
        ? `${plane.version} on this etcd has other streamed lists`
        : exchange.isCustom === true
        ? noCustom
        : undefined;
      await t.step({
        name: `${exchange.name}${skipped === undefined ? "" : ` (skipped: ${skipped})`}`,
        ignore: skipped !== undefined,
        fn: () => check(exchange, served, `exchange-${i}`),
      });
    }
  },
});

const hasRoles = await readRoles() !== undefined;

/** What the agent reads; it writes nothing. */
const READ = [
  "/api/v1/pods",
  "/api/v1/namespaces",
  "/api/v1/nodes",
  "/apis/networking.k8s.io/v1/networkpolicies",
];

async function checkRoles(plane: ControlPlane): Promise<void> {
  const ask = async (method: string, path: string): Promise<string> => {
    const headers = { authorization: `Bearer ${plane.serviceToken}` };
    const response = await plane.fetch(path, { method, headers });
    await response.body?.cancel();
    return `${response.status} ${method} ${path}`;
  };
  const seen: string[] = [];
  const expected: string[] = [];
  for (const path of READ) {
    seen.push(await ask("GET", path), await ask("GET", `${path}?watch=true`));
    expected.push(`200 GET ${path}`, `200 GET ${path}?watch=true`);
  }
  for (const path of ["/api/v1/secrets", "/api/v1/configmaps", "/api/v1/serviceaccounts"]) {
    seen.push(await ask("GET", path));
    expected.push(`403 GET ${path}`);
  }
  for (const path of ["/api/v1/nodes/none", "/api/v1/namespaces/default/pods/none"]) {
    seen.push(await ask("DELETE", path));
    expected.push(`403 DELETE ${path}`);
  }
  assertEquals(seen, expected);
}

async function check(exchange: Exchange, served: Served, namespace: string): Promise<void> {
  const api = new Api(served, namespace);
  await api.call("POST", "/api/v1/namespaces", { metadata: { name: namespace } });
  const timeout = deadline(PATIENCE_MS);
  try {
    assertEquals(await Promise.race([exchange.run(api), timeout.passed]), exchange.expected);
  } finally {
    timeout.clear();
  }
}

/** A watch that says nothing must not hold the suite for ever. */
function deadline(durationMs: number): { passed: Promise<never>; clear(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error("no answer in time")), durationMs);
  return { passed: promise, clear: () => clearTimeout(timer) };
}

/**
 * Servers before 1.24 that are built with Go 1.18 or later die at the first custom resource: their
 * JSON library walks maps as older Go had them.
 */
async function whyNoCustom(plane: ControlPlane): Promise<string | undefined> {
  const { minor, goVersion } = await (await plane.fetch("/version")).json();
  const goMinor = Number(/^go1\.(\d+)/.exec(goVersion)?.[1] ?? 0);
  return parseInt(minor, 10) < 24 && goMinor >= 18
    ? `${plane.version} built with ${goVersion} dies at custom resources`
    : undefined;
}

async function minorOf(plane: ControlPlane): Promise<number> {
  const { minor } = await (await plane.fetch("/version")).json();
  return parseInt(minor, 10);
}

/** `undefined` where a gate, or an etcd that is too old for it (before 3.4.31 and 3.5.13), forbids it. */
async function doesStream(plane: ControlPlane): Promise<Exchange["streams"]> {
  if (await minorOf(plane) < 27) return "refused";
  const query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  const response = await plane.fetch(`/api/v1/namespaces?${query}&timeoutSeconds=1`);
  const text = await response.text();
  return response.status === 200 && !text.includes('"ERROR"') ? "had" : undefined;
}

/** Defines the custom kind and waits until it is served. */
async function registerWidgets(plane: ControlPlane): Promise<void> {
  const { group, version, plural, kind } = WIDGETS;
  const schema = {
    openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  };
  const response = await plane.fetch("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name: `${plural}.${group}` },
      spec: {
        group,
        scope: "Namespaced",
        names: { plural, kind },
        versions: [{
          name: version,
          served: true,
          storage: true,
          schema,
          subresources: { status: {} },
        }],
      },
    }),
  });
  assertEquals(response.status, 201, await response.text());
  const path = `/apis/${group}/${version}/${plural}`;
  await until("the custom kind is served", async () => {
    const response = await plane.fetch(path);
    await response.text();
    return response.status === 200;
  });
}
