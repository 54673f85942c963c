import { assertEquals } from "@std/assert";
import { type SmallApiServer, startApiServer } from "../../tests/support/api_server/server.ts";
import { createLogger } from "../base/log.ts";
import type { Clock } from "../base/clock.ts";
import { type ApiServer, openApiServer } from "../credentials/api_server.ts";
import type { ResourceKind } from "./kind.ts";
import { listAll } from "./list.ts";
import { reflect } from "./reflect.ts";

/** Namespaces as `name=value of the label v`. */
const kind: ResourceKind<string> = {
  name: "namespaces",
  path: "/api/v1/namespaces",
  decode: (object) => {
    const { labels = {} } = (object as { metadata: { labels?: Record<string, string> } }).metadata;
    return { value: labels.v ?? "", problems: [] };
  },
};

/** A reflection of `server`, with the state that its handler has built. */
class Reflection implements AsyncDisposable {
  readonly state = new Map<string, string | undefined>();
  readonly waits: number[] = [];
  lists = 0;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(api: ApiServer) {
    const clock: Clock = {
      nowMs: () => Date.now(),
      sleep: (durationMs) => {
        this.waits.push(durationMs);
        return new Promise((resolve) => setTimeout(resolve, 5));
      },
    };
    this.#done = reflect(api, kind, {
      onReplace: (items) => {
        this.lists++;
        this.state.clear();
        for (const [key, item] of items) this.state.set(key, item.value);
      },
      onUpdate: (key, item) => {
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
    });
  }

  async until(done: () => boolean): Promise<void> {
    for (let i = 0; i < 500; i++) {
      if (done()) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`It never came; state: ${[...this.state].join(" ")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}

async function withReflection(
  use: (
    server: SmallApiServer,
    reflection: Reflection,
    set: (name: string, v: string) => void,
  ) => Promise<void>,
): Promise<void> {
  await using server = startApiServer();
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
  await using reflection = new Reflection(api);
  await reflection.until(() => reflection.state.size >= 7);
  await use(server, reflection, set);
}

Deno.test("reflect() lists in pages and follows every change", async () => {
  await withReflection(async (server, reflection, set) => {
    const pages = server.requests.filter((it) => !it.isWatch).map((it) => it.query.get("limit"));
    assertEquals(pages.length > 2 && pages.every((it) => it === "3"), true);
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
  });
});

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

Deno.test("reflect() survives junk in a watch", async () => {
  await withReflection(async (server, reflection, set) => {
    server.faults.sendText('{"type":"ADDED","object":{}}\n{"type":"WHAT"}\n[]\n\n');
    server.faults.sendText("no json\n");
    set("n5", "1");
    await reflection.until(() => reflection.state.get("n5") === "1");
  });
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
