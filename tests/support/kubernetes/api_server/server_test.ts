/** What only the small server has: faults, bounds, its store. The rest is in tests/cluster. */

import { assertEquals, assertMatch } from "@std/assert";
import { sleep } from "../../../../lib/base/async.ts";
import { until } from "../../until.ts";
import { type ApiServerOptions, type SmallApiServer, startApiServer } from "./server.ts";

const PODS = "/api/v1/pods";

/** Runs `body` with a server and breaks all connections afterwards. */
function withServer(
  name: string,
  body: (server: SmallApiServer, signal: AbortSignal) => Promise<void>,
  options: ApiServerOptions = {},
): void {
  Deno.test(name, async () => {
    const stop = new AbortController();
    await using server = startApiServer(options);
    try {
      await body(server, stop.signal);
    } finally {
      stop.abort();
    }
  });
}

/** The lines of a watch, one event each; ends with the stream, fails when the connection breaks. */
async function* events(
  server: SmallApiServer,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<{ type: string; name: string; version: string; code?: number }> {
  const response = await fetch(server.url + path, { signal });
  assertEquals(response.status, 200);
  let rest = "";
  for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    rest += text;
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { type, object } = JSON.parse(line);
      const { name = "", resourceVersion = "" } = object.metadata;
      const code = object.code;
      yield { type, name, version: resourceVersion, ...(code === undefined ? {} : { code }) };
    }
  }
}

function pod(name: string): { metadata: { name: string; namespace: string } } {
  return { metadata: { name, namespace: "default" } };
}

async function outcome(promise: Promise<unknown>): Promise<string> {
  return await promise.then(() => "fine", (error) => error.name);
}

withServer(
  "watch answers before its first event and sees in-process changes",
  async (it, signal) => {
    const seen = events(it, `${PODS}?watch=true`, signal);
    const first = seen.next();
    await until("the watch is there", () => it.watches.size > 0);
    it.store.create("pods", pod("a"));
    assertEquals((await first).value, { type: "ADDED", name: "a", version: "5" });
    it.store.patchStatus("pods", "default/a", { podIP: "10.0.0.1" });
    assertEquals((await seen.next()).value, { type: "MODIFIED", name: "a", version: "6" });
    it.store.delete("pods", "default/a");
    assertEquals((await seen.next()).value, { type: "DELETED", name: "a", version: "7" });
  },
);

withServer("a client that goes away ends its watch", async (it) => {
  const stop = new AbortController();
  const response = await fetch(`${it.url}${PODS}?watch=true`, { signal: stop.signal });
  assertEquals([response.status, it.watches.size], [200, 1]);
  stop.abort();
  await outcome(response.text());
  await until("the watch ends", () => {
    it.store.update(
      "nodes",
      it.store.get("nodes", "n") ?? it.store.create("nodes", { metadata: { name: "n" } }),
    );
    return it.watches.size === 0;
  });
});

withServer("closeWatches() ends or breaks", async (it, signal) => {
  for (const how of ["end", "reset"] as const) {
    const response = await fetch(`${it.url}${PODS}?watch=true`, { signal });
    it.faults.closeWatches(how);
    assertEquals(await outcome(response.text()), how === "end" ? "fine" : "TypeError");
    assertEquals(it.watches.size, 0);
  }
});

withServer("expire() makes resumes and pages too old, by event", async (it, signal) => {
  it.store.create("pods", pod("a"));
  it.store.create("pods", pod("b"));
  const page = await (await fetch(`${it.url}${PODS}?limit=1`)).json();
  it.faults.expire();
  const { resourceVersion } = page.metadata;
  const seen = events(it, `${PODS}?watch=true&resourceVersion=${resourceVersion}`, signal);
  assertEquals(await seen.next(), {
    done: false,
    value: { type: "ERROR", name: "", version: "", code: 410 },
  });
  assertEquals((await seen.next()).done, true);
  const next = await fetch(`${it.url}${PODS}?limit=1&continue=${page.metadata.continue}`);
  const expired = await next.json();
  assertEquals([next.status, expired.reason], [410, "Expired"]);
  const rest = await fetch(`${it.url}${PODS}?continue=${expired.metadata.continue}`);
  const names = (await rest.json()).items.map((it: { metadata: { name: string } }) =>
    it.metadata.name
  );
  assertEquals(names, ["b"]);
});

withServer("goneAs: response answers 410 itself", async (it) => {
  it.faults.expire();
  const response = await fetch(`${it.url}${PODS}?watch=true&resourceVersion=1`);
  assertEquals([response.status, (await response.json()).reason], [410, "Expired"]);
}, { goneAs: "response" });

withServer("history is bounded", async (it, signal) => {
  for (let i = 0; i < 25; i++) it.store.create("pods", pod(`p${i}`));
  const old = events(it, `${PODS}?watch=true&resourceVersion=4`, signal);
  assertEquals((await old.next()).value?.type, "ERROR");
  const young = events(
    it,
    `${PODS}?watch=true&resourceVersion=${it.store.resourceVersion - 5}`,
    signal,
  );
  assertEquals((await young.next()).value?.name, "p20");
}, { historyMax: 5 });

withServer("refuse() strikes as often as it says", async (it) => {
  it.faults.refuse({ status: 429, retryAfterSeconds: 3, times: 1, path: /pods/ });
  it.faults.refuse({ status: 503, times: 1, path: /pods/ });
  const seen: unknown[] = [];
  for (const path of ["/api/v1/nodes", PODS, PODS, PODS]) {
    const response = await fetch(it.url + path);
    const { reason = "", kind } = await response.json();
    seen.push([response.status, reason, kind, response.headers.get("retry-after")]);
  }
  assertEquals(seen, [
    [200, "", "NodeList", null],
    [429, "TooManyRequests", "Status", "3"],
    [503, "ServiceUnavailable", "Status", null],
    [200, "", "PodList", null],
  ]);
  assertEquals(it.requests.map((record) => record.status), [200, 429, 503, 200]);
});

withServer("cut() breaks the answer off", async (it) => {
  it.faults.cut({ times: 1 });
  assertEquals(
    await outcome(fetch(it.url + PODS).then((response) => response.text())),
    "TypeError",
  );
  assertEquals(await outcome(fetch(it.url + PODS).then((response) => response.text())), "fine");
});

withServer("garble() answers nonsense to lists and watches", async (it) => {
  it.faults.garble("<html>", { times: 2 });
  for (const path of [PODS, `${PODS}?watch=true`]) {
    const response = await fetch(it.url + path);
    assertEquals([response.status, await response.text()], [200, "<html>"]);
  }
  assertEquals((await (await fetch(it.url + PODS)).json()).kind, "PodList");
});

withServer("slow() lets an answer drip, and it is whole at last", async (it) => {
  it.store.create("pods", pod("a"));
  const whole = await (await fetch(it.url + PODS)).text();
  it.faults.slow({ bytes: 100, pauseMs: 1 }, { times: 1 });
  const response = await fetch(it.url + PODS);
  let pieces = 0;
  let text = "";
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    pieces++;
    text += piece;
  }
  assertEquals([text, pieces > 1], [whole, true]);
});

withServer("silence() answers nothing until it is cleared", async (it) => {
  it.faults.silence({ path: /pods/ });
  let isOver = false;
  const silent = outcome(fetch(it.url + PODS).then((response) => response.text()))
    .finally(() => isOver = true);
  assertEquals((await (await fetch(`${it.url}/api/v1/nodes`)).json()).kind, "NodeList");
  assertEquals(isOver, false);
  it.faults.clear();
  assertEquals(await silent, "TypeError");
});

withServer(
  "restore() goes back to an older state, and its versions come again",
  async (it, signal) => {
    it.store.create("pods", pod("withdrawn"));
    it.store.create("pods", { ...pod("changed"), spec: { n: 1 } });
    const { resourceVersion } = it.store;
    it.store.update("pods", { ...pod("changed"), spec: { n: 2 } });
    it.store.delete("pods", "default/withdrawn");
    it.store.create("pods", pod("late"));
    const watch = await fetch(`${it.url}${PODS}?watch=true`, { signal });
    it.faults.restore(resourceVersion);
    assertEquals(await outcome(watch.text()), "TypeError");
    const list = await (await fetch(it.url + PODS)).json();
    const pods = list.items.map((item: { metadata: { name: string }; spec: { n?: number } }) =>
      `${item.metadata.name} ${item.spec.n}`
    );
    assertEquals(list.metadata.resourceVersion, String(resourceVersion));
    assertEquals(pods, ["changed 1", "withdrawn undefined"]);
    it.store.create("pods", pod("later"));
    assertEquals(it.store.resourceVersion, resourceVersion + 1);
    const seen = events(it, `${PODS}?watch=true&resourceVersion=${resourceVersion}`, signal);
    assertEquals((await seen.next()).value?.name, "later");
  },
);

withServer("a silent watch loses events, a bookmark brings none back", async (it, signal) => {
  const seen = events(it, `${PODS}?watch=true`, signal);
  const first = seen.next();
  await until("the watch is there", () => it.watches.size > 0);
  it.faults.silenceWatches();
  it.store.create("pods", pod("a"));
  it.faults.closeWatches();
  assertEquals((await first).done, true);
});

withServer("a slow reader is cut off, a fast one is not", async (it, signal) => {
  const slow = await fetch(`${it.url}${PODS}?watch=true`, { signal });
  const reader = slow.body?.getReader();
  const big = { ...pod("big"), spec: { text: "x".repeat(100_000) } };
  it.store.create("pods", big);
  for (let i = 0; i < 300 && it.watches.size > 0; i++) {
    it.store.update("pods", { ...big, spec: { ...big.spec, i } });
    await sleep(0);
  }
  assertEquals(it.watches.size, 0);
  await reader?.cancel();
  const fast = events(it, `${PODS}?watch=true`, signal);
  assertEquals((await fast.next()).value?.name, "big");
  for (let i = 0; i < 50; i++) {
    it.store.update("pods", { ...pod("big"), spec: { i } });
    assertEquals((await fast.next()).value?.type, "MODIFIED");
  }
}, { watchQueueMax: 10 });

withServer("a token is asked for and can be rotated", async (it) => {
  const ask = async (token: string | undefined, path = PODS): Promise<number> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(it.url + path, { headers });
    await response.text();
    return response.status;
  };
  assertEquals([await ask("one"), await ask("two"), await ask(undefined)], [200, 401, 401]);
  assertEquals(await ask(undefined, "/readyz"), 200);
  it.tokens.clear();
  it.tokens.add("two");
  assertEquals([await ask("one"), await ask("two")], [401, 200]);
}, { token: "one" });

withServer("the store takes what no request could bring", async (it) => {
  it.store.create("networkpolicies", {
    metadata: { name: "bad", namespace: "nowhere" },
    spec: { podSelector: "all", ingress: [7] },
  });
  const list = await (await fetch(`${it.url}/apis/networking.k8s.io/v1/networkpolicies`)).json();
  assertEquals(list.items[0].spec, {
    podSelector: "all",
    ingress: [7],
    policyTypes: ["Ingress"],
  });
});

withServer("deleting a namespace deletes what is in it", async (it) => {
  it.store.create("namespaces", { metadata: { name: "ns" } });
  it.store.create("pods", { metadata: { name: "a", namespace: "ns" } });
  it.store.create("pods", pod("b"));
  await (await fetch(`${it.url}/api/v1/namespaces/ns`, { method: "DELETE" })).text();
  assertEquals(it.store.list("pods").map((it) => it.metadata.name), ["b"]);
  assertEquals(it.store.get("namespaces", "ns"), undefined);
});

withServer("10,000 pods list in pages that agree", async (it) => {
  for (let i = 0; i < 10_000; i++) it.store.create("pods", pod(`p${String(i).padStart(5, "0")}`));
  let token = "";
  const names: string[] = [];
  do {
    const list = await (await fetch(`${it.url}${PODS}?limit=3000&continue=${token}`)).json();
    names.push(...list.items.map((it: { metadata: { name: string } }) => it.metadata.name));
    it.store.delete("pods", `default/p${String(names.length - 1).padStart(5, "0")}`);
    token = list.metadata.continue ?? "";
  } while (token !== "");
  assertEquals(names.length, 10_000);
  assertMatch(names.at(-1) ?? "", /^p09999$/);
});

const WIDGETS = { group: "example.org", plural: "widgets" };

withServer("versions of a kind have the same objects, and go and come", async (it, signal) => {
  it.store.register({
    ...WIDGETS,
    version: "v1alpha1",
    kind: "Widget",
    namespaced: false,
    custom: true,
  });
  it.store.create("widgets", { metadata: { name: "a" } });
  const list = async (version: string): Promise<unknown> => {
    const response = await fetch(`${it.url}/apis/example.org/${version}/widgets`);
    if (response.status !== 200) return (await response.text(), response.status);
    const { kind, apiVersion, items } = await response.json();
    return [kind, apiVersion, ...items.map((item: Record<string, unknown>) => item.apiVersion)];
  };
  const seen = events(it, "/apis/example.org/v1alpha1/widgets?watch=true", signal);
  assertEquals((await seen.next()).value?.name, "a");
  it.serve(WIDGETS, ["v1alpha1", "v1beta1"]);
  assertEquals((await seen.next()).done, true, "its watches end");
  it.store.create("widgets", { metadata: { name: "b" } });
  for (const version of ["v1alpha1", "v1beta1"]) {
    const apiVersion = `example.org/${version}`;
    assertEquals(await list(version), ["WidgetList", apiVersion, apiVersion, apiVersion]);
  }
  const group = await (await fetch(`${it.url}/apis/example.org`)).json();
  assertEquals(group.preferredVersion.version, "v1beta1");
  it.serve(WIDGETS, ["v1beta1"]);
  assertEquals(await list("v1alpha1"), 404);
  assertEquals((await list("v1beta1") as unknown[]).length, 4);
});
