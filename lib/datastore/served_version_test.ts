import { assertEquals } from "@std/assert";
import type { ApiKind } from "../../tests/support/kubernetes/api_server/kind.ts";
import {
  type SmallApiServer,
  startApiServer,
} from "../../tests/support/kubernetes/api_server/server.ts";
import { until } from "../../tests/support/until.ts";
import type { Clock } from "../base/clock.ts";
import { createLogger } from "../base/log.ts";
import { openApiServer } from "../credentials/api_server.ts";
import type { VersionedKind } from "./kind.ts";
import { reflect } from "./reflect.ts";
import type { ReflectState } from "./reflect_handler.ts";

const GROUP = "policy.networking.k8s.io";

/** Policies as `apiVersion`'s last part and the value of the label v. */
const kind: VersionedKind<string> = {
  name: "clusternetworkpolicies",
  kind: "ClusterNetworkPolicy",
  group: GROUP,
  versions: ["v1beta1", "v1alpha2"],
  decode: (object) => {
    const { apiVersion, metadata } = object as {
      apiVersion: string;
      metadata: { labels?: Record<string, string> };
    };
    return { value: `${apiVersion.split("/")[1]} ${metadata.labels?.v ?? ""}`, problems: [] };
  },
};

const CRD: ApiKind = {
  group: GROUP,
  version: "v1alpha2",
  plural: kind.name,
  kind: kind.kind,
  namespaced: false,
  custom: true,
};

/** A reflection of a server that serves the kind in `versions`, with one policy, `deny`. */
class Reflected implements AsyncDisposable {
  readonly state = new Map<string, string | undefined>();
  /** How few objects there were since the first came. */
  fewest = Infinity;
  replaces = 0;
  reflectState: ReflectState | undefined;
  detail: string | undefined;
  version: string | undefined;
  readonly log: string[] = [];
  readonly server: SmallApiServer;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  readonly #close: () => Promise<void>;

  static async start(versions: readonly string[]): Promise<Reflected> {
    const server = startApiServer();
    if (versions.length > 0) {
      server.store.register(CRD);
      server.store.create(kind.name, { metadata: { name: "deny", labels: { v: "0" } } });
      server.serve(CRD, versions);
    }
    const api = await openApiServer({
      environment: { apiEndpoint: server.url },
      userAgent: "test",
    });
    return new Reflected(server, api);
  }

  private constructor(server: SmallApiServer, api: Awaited<ReturnType<typeof openApiServer>>) {
    this.server = server;
    this.#close = async () => {
      await api[Symbol.asyncDispose]();
      await server.close();
    };
    const clock: Clock = {
      nowMs: () => 0,
      sleep: () => new Promise((resolve) => setTimeout(resolve, 5)),
    };
    const took = (): void => {
      if (this.state.size > 0 || this.fewest < Infinity) {
        this.fewest = Math.min(this.fewest, this.state.size);
      }
    };
    this.#done = reflect(api, kind, {
      onReplace: (items) => {
        this.replaces++;
        this.state.clear();
        for (const [key, item] of items) this.state.set(key, item.value);
        took();
      },
      onUpdate: (key, item) => {
        if (item === undefined) this.state.delete(key);
        else this.state.set(key, item.value);
        took();
      },
      onState: (state, detail) => {
        this.reflectState = state;
        this.detail = detail;
      },
      onVersion: (version) => this.version = version,
    }, {
      signal: this.#stop.signal,
      logger: createLogger({ write: (line) => this.log.push(line) }),
      clock,
      random: () => 0,
      watchTimeoutSeconds: 30,
    });
  }

  /** Until `deny` is as `text` says it, or gone. */
  async untilDeny(text: string | undefined): Promise<void> {
    await this.until(() => this.replaces > 0 && this.state.get("deny") === text);
  }

  async until(done: () => boolean): Promise<void> {
    await until(
      "the reflection",
      done,
      () => `${this.reflectState}: ${[...this.state].join(" ")}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
    await this.#close();
  }
}

Deno.test("reflect() follows a kind from version to version, and no object is ever missing", async () => {
  await using it = await Reflected.start(["v1alpha2"]);
  await it.untilDeny("v1alpha2 0");
  const steps: readonly (readonly [readonly string[], string])[] = [
    [["v1alpha2", "v1beta1"], "v1beta1"],
    [["v1beta1"], "v1beta1"],
    [["v1alpha2"], "v1alpha2"],
    [["v1beta1", "v1"], "v1beta1"],
  ];
  for (const [index, [versions, version]] of steps.entries()) {
    it.server.serve(CRD, versions);
    await it.untilDeny(`${version} ${index}`);
    it.server.store.patch(kind.name, "deny", { metadata: { labels: { v: `${index + 1}` } } });
    await it.untilDeny(`${version} ${index + 1}`);
    assertEquals([it.fewest, it.version], [1, version]);
  }
});

Deno.test("reflect() keeps what it read when only an unknown version is left, says so, and comes back", async () => {
  await using it = await Reflected.start(["v1alpha2"]);
  await it.untilDeny("v1alpha2 0");
  it.server.serve(CRD, ["v9"]);
  await it.until(() => it.reflectState === "unreadable");
  assertEquals(it.detail?.includes(`only as ${GROUP}/v9, and`), true, it.detail);
  it.server.store.patch(kind.name, "deny", { metadata: { labels: { v: "unseen" } } });
  const asked = it.server.requests.length;
  await it.until(() => it.server.requests.length > asked + 20);
  assertEquals([it.state.get("deny"), it.replaces, it.fewest], ["v1alpha2 0", 1, 1]);
  assertEquals(it.log.filter((line) => line.includes("not readable")).length, 1, "said once");
  it.server.serve(CRD, ["v9", "v1beta1"]);
  await it.untilDeny("v1beta1 unseen");
  assertEquals([it.reflectState, it.fewest], ["watching", 1]);
});

Deno.test("reflect() of an unknown version alone says nothing of what there is, unless it is empty", async () => {
  await using it = await Reflected.start(["v9"]);
  await it.until(() => it.reflectState === "unreadable");
  assertEquals(it.replaces, 0);
  it.server.store.delete(kind.name, "deny");
  await it.untilDeny(undefined);
  assertEquals([it.reflectState, it.replaces], ["absent", 1]);
  assertEquals(it.detail?.endsWith("It has none of them"), true, it.detail);
});

Deno.test("reflect() believes that a kind is gone when the server has said so often enough", async () => {
  await using it = await Reflected.start(["v1alpha2"]);
  await it.untilDeny("v1alpha2 0");
  it.server.store.unregister(CRD);
  const looks = (): number => it.server.requests.filter(({ path }) => path === "/apis").length;
  it.server.faults.closeWatches();
  await it.untilDeny(undefined);
  assertEquals(looks() >= 3, true, `${looks()}`);
  assertEquals(it.reflectState, "absent");
  // And it comes again.
  it.server.store.register({ ...CRD, version: "v1beta1" });
  it.server.store.create(kind.name, { metadata: { name: "deny", labels: { v: "2" } } });
  await it.untilDeny("v1beta1 2");
});

Deno.test("reflect() keeps what it read while discovery is refused, broken or contradicts itself", async () => {
  await using it = await Reflected.start(["v1alpha2"]);
  await it.untilDeny("v1alpha2 0");
  for (const status of [401, 403, 404, 500, 503]) {
    it.server.faults.refuse({ status, path: /^\/apis(\/[^/]+){0,2}\?/ });
    it.server.faults.closeWatches();
    const v = `after ${status}`;
    it.server.store.patch(kind.name, "deny", { metadata: { labels: { v } } });
    await it.untilDeny(`v1alpha2 ${v}`); // the version that was read is watched on
    it.server.faults.clear();
  }
  it.server.faults.refuse({ status: 404 });
  it.server.faults.closeWatches();
  await it.until(() => it.reflectState === "failed");
  const asked = it.server.requests.length;
  await it.until(() => it.server.requests.length > asked + 20);
  it.server.faults.clear();
  it.server.store.patch(kind.name, "deny", { metadata: { labels: { v: "end" } } });
  await it.untilDeny("v1alpha2 end");
  assertEquals(it.fewest, 1);
});

Deno.test("reflect() sees that there is no such kind, and reads it when it comes", async () => {
  await using it = await Reflected.start([]);
  await it.untilDeny(undefined);
  assertEquals([it.reflectState, it.detail], ["absent", undefined]);
  it.server.store.register(CRD);
  it.server.store.create(kind.name, { metadata: { name: "deny", labels: { v: "1" } } });
  await it.untilDeny("v1alpha2 1");
});
