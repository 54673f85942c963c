/** Streamed lists (KEP-3157): a watch that begins with every object, and says when they have come. */

import { type Api, type Exchange, policy } from "./exchange.ts";

const STREAM = { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" };
const END = "metadata.annotations.k8s~io/initial-events-end";

/** Everything about streamed lists. */
export const STREAM_EXCHANGES: readonly Exchange[] = [
  {
    name: "a streamed list ends with a bookmark, and goes on as a watch",
    streams: "had",
    async run(api) {
      const lines: string[] = [];
      await createThree(api);
      for (const version of [{}, { resourceVersion: "0" }]) {
        const query = { ...STREAM, ...version, allowWatchBookmarks: "true" };
        const list = await api.call("GET", api.policies());
        await api.settle(api.policies(), list);
        await using watch = await api.watch(api.policies(), query);
        const objects = (await watch.take(3)).sort();
        const end = await watch.next();
        const behind = Number(list.at("metadata.resourceVersion")) - (end?.version ?? 0);
        await api.call("POST", api.policies(), policy("later"));
        await api.call("DELETE", api.policies("/later"));
        lines.push(
          `${watch.status}`,
          ...objects,
          `${end?.line} ${end?.at("apiVersion")} ${end?.at(END)}`,
          // Any version will do for the second.
          `not behind ${behind <= 0 || "resourceVersion" in version}`,
          ...await watch.take(2),
        );
      }
      return lines;
    },
    expected: Array.from({ length: 2 }, () => [
      "200",
      "ADDED a",
      "ADDED b",
      "ADDED c",
      "BOOKMARK NetworkPolicy networking.k8s.io/v1 true",
      "not behind true",
      "ADDED later",
      "DELETED later",
    ]).flat(),
  },
  {
    name: "a streamed list that may have no bookmarks has no end",
    streams: "had",
    async run(api) {
      await createThree(api);
      await using watch = await api.watch(api.policies(), STREAM);
      const objects = (await watch.take(3)).sort();
      await api.call("POST", api.policies(), policy("later"));
      return [...objects, ...await watch.take(1)];
    },
    expected: ["ADDED a", "ADDED b", "ADDED c", "ADDED later"],
  },
  {
    name: "a watch may begin without what there is",
    streams: "had",
    async run(api) {
      await createThree(api);
      const query = { ...STREAM, sendInitialEvents: "false", allowWatchBookmarks: "true" };
      await using watch = await api.watch(api.policies(), query);
      await api.call("POST", api.policies(), policy("later"));
      return await watch.take(1);
    },
    expected: ["ADDED later"],
  },
  {
    name: "a streamed list cannot be newer than the server",
    streams: "had",
    async run(api) {
      const list = await api.call("GET", api.policies());
      const resourceVersion = String(Number(list.at("metadata.resourceVersion")) + 1_000_000);
      await using watch = await api.watch(api.policies(), {
        ...STREAM,
        resourceVersion,
        allowWatchBookmarks: "true",
      });
      return [`${watch.status}`, ...await watch.take(1)];
    },
    expected: ["200", "ERROR 504 Timeout"],
  },
  {
    name: "a streamed list is asked for in one way",
    streams: "had",
    run: (api) =>
      ask(api, [
        "watch=true&sendInitialEvents=true",
        "watch=true&sendInitialEvents=true&resourceVersionMatch=Exact",
        "watch=true&resourceVersionMatch=NotOlderThan",
        "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=0",
        "sendInitialEvents=true",
        "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=0",
      ]),
    expected: [
      "422 Invalid resourceVersionMatch:FieldValueForbidden",
      "422 Invalid resourceVersionMatch:FieldValueForbidden resourceVersionMatch:FieldValueNotSupported",
      "422 Invalid resourceVersionMatch:FieldValueForbidden",
      "422 Invalid resourceVersionMatch:FieldValueForbidden",
      "422 Invalid sendInitialEvents:FieldValueForbidden",
      "422 Invalid sendInitialEvents:FieldValueForbidden",
    ],
  },
  {
    name: "an old server refuses a streamed list for what it knows of it",
    streams: "refused",
    run: (api) =>
      ask(api, [
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        "watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=0",
      ]),
    expected: [
      "422 Invalid resourceVersionMatch:FieldValueForbidden",
      "422 Invalid resourceVersionMatch:FieldValueForbidden",
    ],
  },
  {
    name: "a list says how its version is meant",
    async run(api) {
      await api.settle(api.policies(), await api.call("POST", api.policies(), policy("a")));
      return await ask(api, [
        "resourceVersionMatch=NotOlderThan&resourceVersion=0",
        "resourceVersionMatch=NotOlderThan&resourceVersion=1",
        "resourceVersionMatch=NotOlderThan",
        "resourceVersionMatch=Exact&resourceVersion=0",
        "resourceVersionMatch=Nonsense&resourceVersion=1",
      ]);
    },
    expected: [
      "200 NetworkPolicyList a",
      "200 NetworkPolicyList a",
      "422 Invalid resourceVersionMatch:FieldValueForbidden",
      "422 Invalid resourceVersionMatch:FieldValueForbidden",
      "422 Invalid resourceVersionMatch:FieldValueNotSupported",
    ],
  },
];

async function createThree(api: Api): Promise<void> {
  for (const name of ["a", "b", "c"]) await api.call("POST", api.policies(), policy(name));
}

async function ask(api: Api, queries: readonly string[]): Promise<string[]> {
  const lines: string[] = [];
  for (const query of queries) lines.push((await api.call("GET", api.policies(`?${query}`))).line);
  return lines;
}
