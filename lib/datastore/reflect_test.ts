import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ApiServerOptions,
  type SmallApiServer,
  startApiServer,
} from "../../tests/support/kubernetes/api_server/server.ts";
import { lying } from "../../tests/support/kubernetes/lying_api.ts";
import { until } from "../../tests/support/until.ts";
import { createLogger } from "../base/log.ts";
import type { Clock } from "../base/clock.ts";
import { type ApiServer, openApiServer } from "../credentials/api_server.ts";
import type { ResourceKind } from "./kind.ts";
import { DatastoreError } from "./error.ts";
import { listAll } from "./list.ts";
import { reflect, type ReflectOptions } from "./reflect.ts";

/** Namespaces as `name=value of the label v`. */
const kind: ResourceKind<string> = {
  name: "namespaces",
  kind: "Namespace",
  path: "/api/v1/namespaces",
  decode: (object) => {
    const { labels = {} } = (object as { metadata: { labels?: Record<string, string> } }).metadata;
    return { value: labels.v ?? "", problems: [] };
  },
};

type TestOptions = Pick<ReflectOptions, "stallMs" | "pulseMs">;

/** A reflection of `server`, with the state that its handler has built. */
class Reflection implements AsyncDisposable {
  readonly state = new Map<string, string | undefined>();
  readonly waits: number[] = [];
  lists = 0;
  /** What its handler throws at the next change. */
  failure: Error | undefined;
  readonly done: Promise<void>;
  readonly #stop = new AbortController();

  constructor(api: ApiServer, options: TestOptions) {
    const clock: Clock = {
      // It stands still: every watch has hardly begun, on slow machines too.
      nowMs: () => 0,
      sleep: (durationMs) => {
        this.waits.push(durationMs);
        return new Promise((resolve) => setTimeout(resolve, 5));
      },
    };
    this.done = reflect(api, kind, {
      onReplace: (items) => {
        this.lists++;
        this.state.clear();
        for (const [key, item] of items) this.state.set(key, item.value);
      },
      onUpdate: (key, item) => {
        if (this.failure !== undefined) throw this.failure;
        if (item === undefined) this.state.delete(key);
        else this.state.set(key, item.value);
      },
    }, {
      signal: this.#stop.signal,
      logger: createLogger({ write: () => {} }),
      clock,
      random: () => 1,
      pageSize: 3,
      watchTimeoutSeconds: 30,
      ...options,
    });
  }

  async until(done: () => boolean): Promise<void> {
    await until(`${done}`, done, () => `state: ${[...this.state].join(" ")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.done.catch(() => {});
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

async function withReflection(
  use: (
    server: SmallApiServer,
    reflection: Reflection,
    set: (name: string, v: string) => void,
  ) => Promise<void>,
  options: TestOptions = {},
  answer: Parameters<typeof lying>[1] = () => undefined,
  serverOptions: ApiServerOptions = {},
): Promise<void> {
  await using server = startApiServer(serverOptions);
  const set = (name: string, v: string): void => {
    const object = { metadata: { name, labels: { v } } };
    if (server.store.get("namespaces", name) === undefined) {
      server.store.create("namespaces", object);
    } else server.store.patch("namespaces", name, object);
  };
  for (let i = 0; i < 7; i++) set(`n${i}`, "0");
  await using api = await openApiServer({
    environment: { apiEndpoint: server.url },
    userAgent: "test",
  });
  await using reflection = new Reflection(lying(api, answer), options);
  await reflection.until(() => reflection.state.size >= 7 && server.watches.size === 1);
  await use(server, reflection, set);
}

Deno.test("reflect() follows every change", async () => {
  await withReflection(async (server, reflection, set) => {
    set("n1", "1");
    set("new", "2");
    await reflection.until(() => reflection.state.get("new") === "2");
    assertEquals(reflection.state.get("n1"), "1");
    server.store.delete("namespaces", "n2");
    await reflection.until(() => !reflection.state.has("n2"));
    assertEquals(reflection.lists, 1);
  });
});

Deno.test("reflect() goes on from where a watch ended, without listing again", async () => {
  await withReflection(async (server, reflection, set) => {
    for (const how of ["end", "reset"] as const) {
      set("n1", `before ${how}`);
      await reflection.until(() => reflection.state.get("n1") === `before ${how}`);
      server.faults.closeWatches(how);
      set("n1", `after ${how}`);
      await reflection.until(() => reflection.state.get("n1") === `after ${how}`);
    }
    assertEquals(reflection.lists, 1);
  });
});

Deno.test("reflect() lists again after 410 Gone, and misses no deletion", async () => {
  await withReflection(async (server, reflection, set) => {
    server.faults.refuse({ status: 503, watch: true, times: 1 });
    server.faults.closeWatches();
    server.store.delete("namespaces", "n3");
    set("n4", "1");
    server.faults.expire();
    await reflection.until(() => reflection.lists === 2);
    await reflection.until(() => !reflection.state.has("n3") && reflection.state.get("n4") === "1");
    // After the watch that ended at once, and after 503: 410 itself costs none.
    assertEquals(reflection.waits.length, 2);
  });
});

Deno.test("reflect() lists again when the server's data is from a backup", async () => {
  const port = freePort();
  await using before = startApiServer({ port });
  before.store.create("namespaces", { metadata: { name: "withdrawn" } });
  const backup = before.store.resourceVersion;
  before.store.delete("namespaces", "withdrawn");
  for (let i = 0; i < 100; i++) before.store.patch("namespaces", "default", { metadata: {} });
  await using api = await openApiServer({
    environment: { apiEndpoint: before.url },
    userAgent: "test",
  });
  await using reflection = new Reflection(api, {});
  await reflection.until(() => before.watches.size === 1);
  assertEquals(reflection.state.has("withdrawn"), false);
  await before.close();
  await using after = startApiServer({ port });
  after.store.create("namespaces", { metadata: { name: "withdrawn" } });
  assert(after.store.resourceVersion <= backup);
  await reflection.until(() => reflection.state.has("withdrawn"));
});

/** What asks whether a silent watch has missed something. */
const IS_PROBE = /watch=1.*timeoutSeconds=1(&|$)/;

Deno.test("reflect() begins again when a silent server does not answer either", async () => {
  let isDead = false;
  await withReflection(
    async (server, reflection, set) => {
      server.faults.silenceWatches();
      isDead = true;
      await reflection.until(() => reflection.waits.length > 0);
      isDead = false;
      set("n5", "1");
      await reflection.until(() => reflection.state.get("n5") === "1");
      assertEquals(reflection.lists, 1);
    },
    { pulseMs: 50 },
    (path) => {
      if (isDead && IS_PROBE.test(path)) throw new TypeError("connection lost");
      return undefined;
    },
  );
});

Deno.test("reflect() begins a watch again that has missed something, without listing", async () => {
  await withReflection(async (server, reflection, set) => {
    server.faults.silenceWatches();
    set("n5", "unheard");
    await reflection.until(() => reflection.state.get("n5") === "unheard");
    assertEquals([reflection.waits.length > 0, reflection.lists], [true, 1]);
  }, { pulseMs: 50, stallMs: 600_000 });
});

for (const refusal of [429, 403, 500]) {
  Deno.test(`reflect() leaves a silent server alone that answers, be it ${refusal}`, async () => {
    let asked = 0;
    await withReflection(
      async (_server, reflection) => {
        await reflection.until(() => asked > 2);
        assertEquals(reflection.waits, []);
      },
      { pulseMs: 50 },
      (path) => {
        if (!IS_PROBE.test(path)) return undefined;
        return asked++ === 0 ? new Response("no", { status: refusal }) : undefined;
      },
    );
  });
}

Deno.test("reflect() waits ever longer, and as long as the server asks", async () => {
  await withReflection(async (server, reflection, set) => {
    server.faults.refuse({ status: 503, watch: true, times: 3 });
    server.faults.refuse({ status: 429, watch: true, times: 1, retryAfterSeconds: 20 });
    server.faults.closeWatches();
    await reflection.until(() => reflection.waits.length >= 5);
    set("n1", "1");
    await reflection.until(() => reflection.state.get("n1") === "1");
    const [ended, first = 0, second = 0, third = 0, asked = 0] = reflection.waits;
    assertEquals(ended, 250); // the watch had hardly begun
    assertEquals(first < second && second < third && asked > 20_000, true, `${reflection.waits}`);
  });
});

const JUNK: readonly string[] = [
  '{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"n1","resourceVersion":"999"}}}',
  '{"type":"DELETED","object":null}',
  '{"type":"ADDED","object":{}}',
  '{"type":"ADDED","object":{"metadata":{"resourceVersion":"999"}}}',
  '{"type":"WHAT","object":{"metadata":{"name":"n1","resourceVersion":"999"}}}',
  '{"type":"ERROR","object":{"code":500,"message":"etcd event lost"}}',
  "[]",
  "no json",
];

for (const junk of JUNK) {
  Deno.test(`reflect() lists again after ${junk}, in which something may be lost`, async () => {
    await withReflection(async (server, reflection, set) => {
      server.faults.sendText(junk + "\n");
      await reflection.until(() => reflection.lists === 2);
      set("n5", "1");
      await reflection.until(() => reflection.state.get("n5") === "1");
      assertEquals(reflection.lists, 2);
    });
  });
}

Deno.test("reflect() begins a watch again that has gone silent, without listing", async () => {
  await withReflection(async (server, reflection, set) => {
    await reflection.until(() => server.watches.size === 1);
    server.faults.silenceWatches();
    set("n5", "unheard");
    await reflection.until(() => reflection.state.get("n5") === "unheard");
    assertEquals(reflection.lists, 1);
  }, { stallMs: 300 });
});

Deno.test("reflect() waits between lists when every watch is refused as too old", async () => {
  await withReflection(
    async (server, reflection) => {
      server.faults.refuse({ status: 410, watch: true, times: 6 });
      server.faults.closeWatches();
      await reflection.until(() => reflection.waits.length >= 6);
      assert(reflection.lists >= 6, `${reflection.lists}`);
      const waits = reflection.waits.slice(1, 6);
      assert(
        waits.every((it, index) =>
          index === 0 || it >= Math.min(30_000, 2 * (waits[index - 1] ?? 0))
        ),
        `${waits}`,
      );
    },
    {},
    () => undefined,
    { minor: 20 },
  ); // one that has streams lists by the watch itself
});

Deno.test("reflect() stops with a programmer error of its handler", async () => {
  await withReflection(async (_server, reflection, set) => {
    reflection.failure = new TypeError("x is undefined");
    set("n1", "1");
    await assertRejects(() => reflection.done, TypeError, "x is undefined");
  });
});

Deno.test("listAll() says what is wrong when the server refuses or breaks off", async () => {
  await using server = startApiServer();
  await using api = await openApiServer({
    environment: { apiEndpoint: server.url },
    userAgent: "t",
  });
  const cases: readonly (readonly [() => void, number | undefined, string])[] = [
    [
      () => server.faults.refuse({ status: 401, times: 1 }),
      401,
      "Cannot list namespaces: the API server answers 401, the credentials are missing",
    ],
    [
      () => server.faults.refuse({ status: 403, times: 1 }),
      403,
      "Cannot list namespaces: the API server answers 403, the account lacks the permission",
    ],
    [
      () => server.faults.cut({ times: 1 }),
      undefined,
      `Cannot list namespaces: ${server.url} does not answer`,
    ],
  ];
  for (const [strike, status, message] of cases) {
    strike();
    const error = await assertRejects(() => listAll(api, kind), DatastoreError, message);
    assertEquals(error.status, status);
  }
});

Deno.test("listAll() starts again when its continuation expires", async () => {
  await using server = startApiServer();
  for (let i = 0; i < 7; i++) server.store.create("namespaces", { metadata: { name: `n${i}` } });
  await using api = await openApiServer({
    environment: { apiEndpoint: server.url },
    userAgent: "t",
  });
  let pages = 0;
  const expiring: ApiServer = Object.assign(Object.create(api), {
    fetch: (path: string, init?: RequestInit) => {
      if (++pages === 2) server.faults.expire();
      return api.fetch(path, init);
    },
  });
  const { items } = await listAll(expiring, kind, { limit: 3 });
  assertEquals([...items.keys()].filter((it) => /^n\d$/.test(it)).length, 7);
});

const NO_LISTS: readonly (readonly [string, unknown])[] = [
  ["of what is no object", { items: [null, 1, {}] }],
  ["whose last item has no name", { items: [{ metadata: { name: "n1" } }, { metadata: {} }] }],
  ["with an item of another kind", { items: [{ kind: "Pod", metadata: { name: "n1" } }] }],
  ["of another kind", { kind: "PodList", items: [] }],
  ["of another version", { apiVersion: "v2", items: [] }],
  ["of no kind", { kind: undefined, items: [] }],
  ["that is an object of the kind", { kind: "Namespace", items: [] }],
  ["that is a table", { kind: "Table", apiVersion: "meta.k8s.io/v1", items: [], rows: [] }],
  ["without items", { items: undefined }],
  ["whose items are no list", { items: { length: 0 } }],
  ["without a resourceVersion", { metadata: {}, items: [] }],
];

for (const [what, change] of NO_LISTS) {
  Deno.test(`reflect() refuses a list ${what}, and what was known stays`, async () => {
    const list = {
      kind: "NamespaceList",
      apiVersion: "v1",
      metadata: { resourceVersion: "9" },
      ...change as Record<string, unknown>,
    };
    let lies = 0;
    let isLying = false;
    await withReflection(
      async (server, reflection, set) => {
        isLying = true;
        server.store.delete("namespaces", "n6");
        server.faults.expire();
        server.faults.closeWatches();
        await reflection.until(() => lies >= 3);
        assertEquals([reflection.lists, reflection.state.get("n5")], [1, "0"]);
        isLying = false;
        set("n5", "1");
        await reflection.until(() => reflection.state.get("n5") === "1");
        assertEquals([reflection.lists, reflection.state.has("n6")], [2, false]);
      },
      {},
      (path) => {
        if (!isLying || path.includes("watch=")) return undefined;
        lies++;
        return Response.json(list);
      },
    );
  });
}
