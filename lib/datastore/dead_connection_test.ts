/** Connections that die without a word, under TLS: nothing of it is visible but that nothing comes. */

import { assertEquals } from "@std/assert";
import { startApiServer } from "../../tests/support/kubernetes/api_server/server.ts";
import { makeCertificates } from "../../tests/support/kubernetes/certificates.ts";
import { DeadRelay } from "../../tests/support/kubernetes/dead_relay.ts";
import { PATIENCE_MS, until } from "../../tests/support/until.ts";
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

/**
 * Connections that lie ready for the next requests when all die: to try them one by one, a minute each, takes
 * longer than the patience of the test.
 */
const IDLE = 6;

const DEATHS: readonly (readonly [what: string, idle: number, isServerAway: boolean])[] = [
  ["", 0, false],
  [", and with it those that lay ready", IDLE, false],
  [", and with it the way to the server", 0, true],
];

for (const [what, idle, isServerAway] of DEATHS) {
  Deno.test(`a watch whose connection died goes on by another one${what}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "calyx-dead-" });
    try {
      const { caFile, serverCertFile, serverKeyFile } = await makeCertificates(directory);
      await using server = startApiServer({
        tls: {
          cert: await Deno.readTextFile(serverCertFile),
          key: await Deno.readTextFile(serverKeyFile),
        },
      });
      await using relay = new DeadRelay(server.port);
      await using api = await openApiServer({
        environment: { apiEndpoint: `https://127.0.0.1:${relay.port}`, caFile },
        userAgent: "test",
      });
      const known = new Set<string>();
      const failures: string[] = [];
      let lists = 0;
      const stop = new AbortController();
      const done = reflect(api, kind, {
        onReplace: (items) => {
          lists++;
          for (const key of items.keys()) known.add(key);
        },
        onUpdate: (key) => known.add(key),
        onState: (state, detail = "") => state === "failed" && failures.push(detail),
      }, {
        signal: stop.signal,
        logger: createLogger({ write: () => {} }),
        stallMs: 10 * PATIENCE_MS,
        pulseMs: 500,
        pulseAnswerMs: 3_000,
      });
      try {
        await until("the watch is there", () => server.watches.size === 1);
        const answers = Array.from({ length: idle }, () => api.fetch("/version"));
        await Promise.all((await Promise.all(answers)).map((it) => it.text()));
        relay.die();
        if (isServerAway) await until("it is noticed", () => failures.length > 0);
        relay.revive({ resets: isServerAway });
        server.store.create("namespaces", { metadata: { name: "late" } });
        await until("what comes late is known", () => known.has("late"), () => `${failures}`);
        assertEquals(lists, 1);
      } finally {
        stop.abort();
        await done;
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
