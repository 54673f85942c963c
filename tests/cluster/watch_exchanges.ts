/** Watches: events, where they start, selection, bookmarks, ends. */

import { type Api, type Exchange, pod, policy } from "./exchange.ts";

const MERGE = { type: "application/merge-patch+json" };

/** Everything about watches. */
export const WATCH_EXCHANGES: readonly Exchange[] = [
  {
    name: "a watch goes on where a list ended",
    async run(api) {
      await api.call("POST", api.policies(), policy("before"));
      const resourceVersion = await versionOf(api, api.policies());
      await using watch = await api.watch(api.policies(), { resourceVersion });
      await api.call("POST", api.policies(), policy("a"));
      await api.call("PATCH", api.policies("/a"), { metadata: { labels: { x: "y" } } }, MERGE);
      await api.call("PUT", api.policies("/before"), policy("before"));
      await api.call("DELETE", api.policies("/a"));
      await api.call("POST", api.policies(), policy("last"));
      return [`${watch.status}`, ...await watch.take(4)];
    },
    expected: ["200", "ADDED a", "MODIFIED a", "DELETED a", "ADDED last"],
  },
  {
    name: "versions rise from event to event, and a deletion has one of its own",
    async run(api) {
      const resourceVersion = await versionOf(api, api.policies());
      await using watch = await api.watch(api.policies(), { resourceVersion });
      await api.call("POST", api.policies(), policy("a"));
      await api.call("DELETE", api.policies("/a"));
      const added = await watch.next();
      const deleted = await watch.next();
      const now = Number(await versionOf(api, api.policies()));
      const versions = [Number(resourceVersion), added?.version, deleted?.version, now];
      return [
        `${deleted?.line} ${deleted?.at("kind")} ${deleted?.at("apiVersion")}`,
        `rising ${versions.every((it, i) => i === 0 || (it ?? 0) >= (versions[i - 1] ?? NaN))}`,
        `own ${added?.version !== deleted?.version}`,
      ];
    },
    expected: ["DELETED a NetworkPolicy networking.k8s.io/v1", "rising true", "own true"],
  },
  {
    name: "a watch resumes over what it missed",
    async run(api) {
      const created = await api.call("POST", api.policies(), policy("a"));
      const resourceVersion = created.at("metadata.resourceVersion");
      await api.call("POST", api.policies(), policy("b"));
      await api.call("DELETE", api.policies("/a"));
      await using watch = await api.watch(api.policies(), { resourceVersion });
      const missed = await watch.take(2);
      await api.call("POST", api.policies(), policy("c"));
      return [...missed, ...await watch.take(1)];
    },
    expected: ["ADDED b", "DELETED a", "ADDED c"],
  },
  {
    name: "a watch without a version starts with the state",
    async run(api) {
      await api.call("POST", api.policies(), policy("a"));
      await api.call("POST", api.policies(), policy("b"));
      await api.call("DELETE", api.policies("/a"));
      const lines: string[] = [];
      for (const query of [{}, { resourceVersion: "0" }]) {
        const round = `with-${Object.keys(query).length}`;
        const patch = { metadata: { labels: { round } } };
        await api.settle(api.policies(), await api.call("PATCH", api.policies("/b"), patch, MERGE));
        await using watch = await api.watch(api.policies(), query);
        lines.push(...await watch.take(1));
        await api.call("POST", api.policies(), policy("c"));
        lines.push(...await watch.take(1));
        await api.call("DELETE", api.policies("/c"));
        lines.push(...await watch.take(1));
      }
      return lines;
    },
    expected: ["ADDED b", "ADDED c", "DELETED c", "ADDED b", "ADDED c", "DELETED c"],
  },
  {
    name: "an object that leaves the selection is deleted for the watch",
    async run(api) {
      const resourceVersion = await versionOf(api, api.pods());
      const query = { resourceVersion, labelSelector: "app=web" };
      await using watch = await api.watch(api.pods(), query);
      const label = async (name: string, app: string): Promise<void> => {
        await api.call("PATCH", api.pods(`/${name}`), { metadata: { labels: { app } } }, MERGE);
      };
      await api.call("POST", api.pods(), pod("a"));
      await api.call("POST", api.pods(), pod("b", { labels: { app: "web" } }));
      await label("a", "web");
      await label("a", "db");
      await label("b", "db");
      await api.call("DELETE", api.pods("/a"));
      await label("b", "web");
      const lines: string[] = [];
      for (let i = 0; i < 5; i++) {
        const event = await watch.next();
        lines.push(`${event?.line} ${event?.at("metadata.labels.app")}`);
      }
      return lines;
    },
    expected: ["ADDED b web", "ADDED a web", "DELETED a web", "DELETED b web", "ADDED b web"],
  },
  {
    name: "a watch selects by field",
    async run(api) {
      const resourceVersion = await versionOf(api, api.pods());
      const query = { resourceVersion, fieldSelector: "spec.nodeName=n1,status.phase!=Failed" };
      await using watch = await api.watch(api.pods(), query);
      await api.call("POST", api.pods(), pod("other", { spec: { nodeName: "n2" } }));
      await api.call("POST", api.pods(), pod("a", { spec: { nodeName: "n1" } }));
      await api.call("PATCH", api.pods("/a/status"), { status: { phase: "Running" } }, MERGE);
      await api.call("PATCH", api.pods("/a/status"), { status: { phase: "Failed" } }, MERGE);
      return await watch.take(3);
    },
    expected: ["ADDED a", "MODIFIED a", "DELETED a"],
  },
  {
    name: "a pod that ends is modified first",
    async run(api) {
      await api.call("POST", api.pods(), pod("a", { spec: { nodeName: "n1" } }));
      const resourceVersion = await versionOf(api, api.pods());
      await using watch = await api.watch(api.pods(), { resourceVersion });
      await api.call("DELETE", api.pods("/a"));
      await api.call("DELETE", api.pods("/a?gracePeriodSeconds=0"));
      const ending = await watch.next();
      // The real server may shorten the grace first, which is one more modification.
      let last = await watch.next();
      while (last?.type === "MODIFIED") last = await watch.next();
      return [
        `${ending?.line} ${ending?.at("metadata.deletionTimestamp") !== ""}`,
        `${last?.line}`,
      ];
    },
    expected: ["MODIFIED a true", "DELETED a"],
  },
  {
    name: "a watch of everything sees all namespaces, another only its own",
    async run(api) {
      const all = "/apis/networking.k8s.io/v1/networkpolicies";
      const resourceVersion = await versionOf(api, all);
      const elsewhere = api.policies().replace(api.namespace, "default");
      await using one = await api.watch(api.policies(), { resourceVersion });
      await using every = await api.watch(all, { resourceVersion });
      await api.call("POST", elsewhere, policy("elsewhere"));
      await api.call("DELETE", `${elsewhere}/elsewhere`);
      await api.call("POST", api.policies(), policy("here"));
      return [...await every.take(3), ...await one.take(1)];
    },
    expected: ["ADDED elsewhere", "DELETED elsewhere", "ADDED here", "ADDED here"],
  },
  {
    name: "a version that is too old ends the watch with an event",
    async run(api) {
      await api.served.expireWatches();
      await using watch = await api.watch(api.policies(), { resourceVersion: "1" });
      return [`${watch.status}`, ...await watch.take(2)];
    },
    expected: ["200", "ERROR 410 Expired", "end"],
  },
  {
    name: "a watch that cannot be is refused",
    async run(api) {
      const ask = async (query: string): Promise<string> =>
        (await api.call("GET", api.policies(`?watch=true&${query}`))).line;
      return [
        // Unkind, but the real answer.
        await ask("resourceVersion=nonsense"),
        await ask("labelSelector=a%20b"),
        await ask("fieldSelector=spec.x%3Dy"),
      ];
    },
    expected: ["500 undefined", "400 BadRequest", "400 BadRequest"],
  },
  {
    name: "a watch ends after its time, with a bookmark before where one is wanted",
    async run(api) {
      await api.call("POST", api.policies(), policy("a"));
      // On a busy machine the event may come after the short time is over, or after its bookmark.
      const short = await watchForSeconds(api, 3);
      return short[0] === "ADDED b" ? short : await watchForSeconds(api, 60);
    },
    expected: [
      "ADDED b",
      "BOOKMARK NetworkPolicy networking.k8s.io/v1",
      "not behind true",
      "end",
      "ADDED b",
      "end",
    ],
  },
];

/** A watch that ends after `seconds`, and one that wants bookmarks, while policy `b` is deleted and created again. */
async function watchForSeconds(api: Api, seconds: number): Promise<string[]> {
  await api.call("DELETE", api.policies("/b"));
  const version = await versionOf(api, api.policies());
  const query = { resourceVersion: version, timeoutSeconds: String(seconds) };
  await using plain = await api.watch(api.policies(), query);
  await using marked = await api.watch(api.policies(), { ...query, allowWatchBookmarks: "true" });
  const added = await api.call("POST", api.policies(), policy("b"));
  const event = await marked.next();
  const bookmark = await marked.next();
  let last = await marked.next();
  while (last?.type === "BOOKMARK") last = await marked.next();
  const behind = Number(added.at("metadata.resourceVersion")) - (bookmark?.version ?? 0);
  return [
    `${event?.line}`,
    `${bookmark?.line} ${bookmark?.at("apiVersion")}`,
    `not behind ${behind <= 0}`,
    last?.line ?? "end",
    ...await plain.take(2),
  ];
}

async function versionOf(api: Api, path: string): Promise<string> {
  return (await api.call("GET", path)).at("metadata.resourceVersion");
}
