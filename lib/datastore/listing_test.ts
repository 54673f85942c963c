/** How a reflection lists servers of several versions, and when it may read what is not the newest. */

import { assertEquals } from "@std/assert";
import {
  type ApiServerOptions,
  type SmallApiServer,
  startApiServer,
} from "../../tests/support/kubernetes/api_server/server.ts";
import { lying } from "../../tests/support/kubernetes/lying_api.ts";
import { until } from "../../tests/support/until.ts";
import { createLogger } from "../base/log.ts";
import { openApiServer } from "../credentials/api_server.ts";
import type { ResourceKind } from "./kind.ts";
import { reflect } from "./reflect.ts";

const kind: ResourceKind<true> = {
  name: "namespaces",
  kind: "Namespace",
  path: "/api/v1/namespaces",
  decode: () => ({ value: true, problems: [] }),
};

const NAMES = ["default", "kube-node-lease", "kube-public", "kube-system", "n0", "n1", "n2"];

interface Scene {
  readonly server: SmallApiServer;
  /** What is known. */
  readonly known: Set<string>;
  /** The names that each list brought. */
  readonly lists: string[][];
  /** Each request that lists: `stream`, `cache` or `page`. */
  readonly asked: () => string[];
}

/** Reflects a server that has seven namespaces. */
async function withScene(
  use: (scene: Scene) => Promise<void>,
  options: ApiServerOptions = {},
  answer: Parameters<typeof lying>[1] = () => undefined,
): Promise<void> {
  await using server = startApiServer(options);
  for (const name of NAMES.slice(4)) server.store.create("namespaces", { metadata: { name } });
  await using api = await openApiServer({
    environment: { apiEndpoint: server.url },
    userAgent: "test",
  });
  const known = new Set<string>();
  const lists: string[][] = [];
  const stop = new AbortController();
  const done = reflect(lying(api, answer), kind, {
    onReplace: (items) => {
      lists.push([...items.keys()].sort());
      known.clear();
      for (const key of items.keys()) known.add(key);
    },
    onUpdate: (key, item) => {
      if (item === undefined) known.delete(key);
      else known.add(key);
    },
  }, {
    signal: stop.signal,
    logger: createLogger({ write: () => {} }),
    clock: { nowMs: () => 0, sleep: () => new Promise((resolve) => setTimeout(resolve, 5)) },
    random: () => 1,
    pageSize: 3,
  });
  try {
    await until("everything is known", () => known.size === NAMES.length);
    await use({ server, known, lists, asked: () => askedOf(server) });
  } finally {
    stop.abort();
    await done;
  }
}

function askedOf(server: SmallApiServer): string[] {
  return server.requests.filter((it) => it.path === kind.path).flatMap(({ query, isWatch }) => {
    if (isWatch) return query.has("sendInitialEvents") ? ["stream"] : [];
    // That the server went back is asked for by itself.
    if (query.get("limit") === "1") return [];
    return [query.get("resourceVersion") === "0" ? "cache" : "page"];
  });
}

/** Ends the watch where it can neither go on nor miss the deletion of `n1`. */
function expire(server: SmallApiServer): void {
  server.faults.refuse({ status: 503, watch: true, times: 1 });
  server.faults.closeWatches();
  server.store.delete("namespaces", "n1");
  server.faults.expire();
}

const SERVERS: readonly (readonly [minor: number, first: string[], again: string[]])[] = [
  [18, ["cache"], ["page", "page"]],
  [20, ["cache"], ["page", "page"]],
  [31, ["stream", "cache"], ["page", "page"]],
  [32, ["stream"], ["stream"]],
  [33, ["stream", "cache"], ["page", "page"]],
  [34, ["stream"], ["stream"]],
];

for (const [minor, first, again] of SERVERS) {
  Deno.test(`a server 1.${minor} is listed by ${first}, and after 410 by ${again}`, async () => {
    await withScene(async ({ server, known, lists, asked }) => {
      assertEquals([asked(), lists], [first, [NAMES]]);
      expire(server);
      await until("n1 is gone", () => !known.has("n1"));
      assertEquals([asked(), lists.length], [[...first, ...again], 2]);
      server.store.create("namespaces", { metadata: { name: "late" } });
      await until("what comes late is known", () => known.has("late"));
      assertEquals(lists.length, 2);
    }, { minor });
  });
}

Deno.test("a server that went back is listed neither by stream nor out of its cache", async () => {
  await withScene(async ({ server, known, lists, asked }) => {
    const { resourceVersion } = server.store;
    for (let i = 0; i < 9; i++) server.store.patch("namespaces", "n0", { metadata: {} });
    server.store.delete("namespaces", "n1");
    await until("n1 is gone", () => !known.has("n1"));
    server.faults.restore(resourceVersion);
    await until("n1 is back", () => known.has("n1"));
    assertEquals([asked(), lists.length], [["stream", "page", "page", "page"], 2]);
  });
});

/** Streams that end before they have said that everything has come. */
const HALVES: readonly (readonly [string, string[]])[] = [
  ["nothing", []],
  ["some objects", [added("n0"), added("n1")]],
  ["a bookmark in the middle", [added("n0"), bookmark({})]],
  ["a bookmark of another meaning", [added("n0"), bookmark({ "k8s.io/other": "true" })]],
  ["an error", [added("n0"), '{"type":"ERROR","object":{"code":504,"reason":"Timeout"}}']],
];

for (const [what, lines] of HALVES) {
  Deno.test(`a stream with ${what} and no end is no list: pages are`, async () => {
    let isFirst = true;
    await withScene(
      ({ lists, asked }) => {
        assertEquals([lists, asked()], [[NAMES], ["cache"]]);
        return Promise.resolve();
      },
      {},
      (path) => {
        if (!path.includes("sendInitialEvents") || !isFirst) return undefined;
        isFirst = false;
        return new Response(lines.map((it) => it + "\n").join(""));
      },
    );
  });
}

Deno.test("a server that cannot stream, though it should, is asked once", async () => {
  let streams = 0;
  await withScene(
    async ({ server, known, asked }) => {
      assertEquals(streams, 1);
      expire(server);
      await until("n1 is gone", () => !known.has("n1"));
      assertEquals([streams, asked()], [1, ["cache", "page", "page"]]);
    },
    {},
    (path) => {
      if (!path.includes("sendInitialEvents")) return undefined;
      streams++;
      const object = { kind: "Status", code: 500, reason: "InternalError", message: "no progress" };
      return new Response(JSON.stringify({ type: "ERROR", object }) + "\n");
    },
  );
});

Deno.test("what changes while a stream comes is part of its list", async () => {
  const lines = [
    ...NAMES.map(added),
    added("short"),
    added("n1").replace("ADDED", "MODIFIED"),
    added("short").replace("ADDED", "DELETED"),
    bookmark({ "k8s.io/initial-events-end": "true" }),
  ];
  await withScene(
    ({ lists }) => {
      assertEquals(lists[0], NAMES);
      return Promise.resolve();
    },
    {},
    (path) =>
      path.includes("sendInitialEvents")
        ? new Response(lines.map((it) => it + "\n").join(""))
        : undefined,
  );
});

Deno.test("a version that cannot be had, or read, is no reason not to list", async () => {
  const answers = [
    () => new Response("no", { status: 403 }),
    () => new Response("<html>"),
    () => Response.json([]),
    () => Response.json({ major: "2", minor: "0" }),
    () => Response.json({ major: "1", minor: 34 }),
  ];
  for (const answer of answers) {
    await withScene(
      ({ asked }) => {
        assertEquals(asked(), ["cache"]);
        return Promise.resolve();
      },
      {},
      (path) => path === "/version" ? answer() : undefined,
    );
  }
});

function added(name: string): string {
  return JSON.stringify({
    type: "ADDED",
    object: { kind: "Namespace", metadata: { name, resourceVersion: "5" } },
  });
}

function bookmark(annotations: Record<string, string>): string {
  return JSON.stringify({
    type: "BOOKMARK",
    object: { kind: "Namespace", metadata: { resourceVersion: "5", annotations } },
  });
}
