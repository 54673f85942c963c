/**
 * A small Kubernetes API server for tests, in this process, over HTTP or HTTPS.
 *
 * It keeps objects, counts versions, lists in pages and watches, and refuses what the real server
 * refuses, so that a client cannot tell the two apart in what `tests/cluster/api_server_test.ts`
 * holds against both. It is not for authorization (a known token may do everything), admission,
 * protobuf, tables or server-side apply, and no controller runs in it.
 */

import { Faults, type RequestRecord } from "./faults.ts";
import { handle } from "./handler.ts";
import type { ApiKind } from "./kind.ts";
import { setNoDelay } from "./no_delay.ts";
import { Pager } from "./pager.ts";
import { Store } from "./store.ts";
import type { Watch } from "./watch.ts";
import { Writer } from "./writer.ts";

/** How to start the server. */
export interface ApiServerOptions {
  /** @default {"127.0.0.1"} */
  readonly hostname?: string;
  /** @default {0}: a free one */
  readonly port?: number;
  /** PEM texts; with them the server speaks HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** The bearer token that requests must carry. @default {none is asked for} */
  readonly token?: string;
  /** How many changes of each kind a watch can resume over, at least. @default {1000} */
  readonly historyMax?: number;
  /** @default {60000} */
  readonly bookmarkIntervalMs?: number;
  /** How many events may wait for a slow reader. @default {1000} */
  readonly watchQueueMax?: number;
  /** Whether a scheduled pod stays, terminating, until deleted with grace 0. @default {false} */
  readonly gracefulDeletion?: boolean;
  /** How a watch hears that its version is too old: real servers do either. @default {"event"} */
  readonly goneAs?: "event" | "response";
  /** Which Kubernetes 1.N it is: 32 streams lists, 31 and 33 refuse to, 20 does not know of it. @default {32} */
  readonly minor?: number;
}

/** A running server. */
export interface SmallApiServer extends AsyncDisposable {
  /** `http://127.0.0.1:34567`, without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** The first token, where one is asked for. */
  readonly token: string | undefined;
  /** Tokens that are let in: change them to rotate one. */
  readonly tokens: Set<string>;
  /** The state: tests read and change it without HTTP. */
  readonly store: Store;
  readonly faults: Faults;
  /** The latest requests, oldest first. */
  readonly requests: readonly RequestRecord[];
  /** The watches that are running. */
  readonly watches: ReadonlySet<Watch>;
  /** Serves a kind in these versions and in no other, and ends its watches, as real servers do. */
  serve(kind: Pick<ApiKind, "group" | "plural">, versions: readonly string[]): void;
  /** Breaks all connections and stops. */
  close(): Promise<void>;
}

/** How many requests are remembered. */
const REQUESTS_MAX = 10_000;

/**
 * Starts a server; it has the initial namespaces and no other object.
 *
 * @throws {Deno.errors.AddrInUse} if the port is taken
 */
export function startApiServer(options: ApiServerOptions = {}): SmallApiServer {
  const { hostname = "127.0.0.1", port = 0, tls, token } = options;
  const store = new Store(options.historyMax ?? 1000);
  const pager = new Pager();
  const watches = new Set<Watch>();
  const requests: RequestRecord[] = [];
  const tokens = new Set<string>(token === undefined ? [] : [token]);
  const faults = new Faults({
    watches,
    expire: () => {
      store.expire();
      pager.expire();
    },
    restore: (resourceVersion) => {
      store.restore(resourceVersion);
      pager.expire();
    },
  });
  const handler = (request: Request): Promise<Response> =>
    handle(request, {
      store,
      writer: new Writer(store),
      pager,
      faults,
      watches,
      tokens,
      record: (it) => {
        requests.push(it);
        if (requests.length > REQUESTS_MAX) requests.splice(0, REQUESTS_MAX / 2);
      },
      gracefulDeletion: options.gracefulDeletion ?? false,
      goneAs: options.goneAs ?? "event",
      bookmarkIntervalMs: options.bookmarkIntervalMs ?? 60_000,
      watchQueueMax: options.watchQueueMax ?? 1000,
      minor: options.minor ?? 32,
    });
  const stop = new AbortController();
  const listening = { hostname, port, signal: stop.signal, onListen: () => {} };
  const server = tls === undefined
    ? Deno.serve(listening, handler)
    : Deno.serve({ ...listening, cert: tls.cert, key: tls.key }, handler);
  setNoDelay(server.addr.port);
  const close = async (): Promise<void> => {
    faults.clear();
    faults.closeWatches("reset");
    stop.abort();
    await server.finished;
  };
  const address = hostname.includes(":") ? `[${hostname}]` : hostname;
  return {
    url: `${tls === undefined ? "http" : "https"}://${address}:${server.addr.port}`,
    port: server.addr.port,
    token,
    tokens,
    store,
    faults,
    requests,
    watches,
    serve: (kind, versions) => {
      store.serve(kind, versions);
      for (const watch of [...watches]) {
        const { group, plural } = watch.collection.kind;
        if (group === kind.group && plural === kind.plural) watch.end();
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
