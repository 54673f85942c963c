/** An API server's client to which something else answers now and then: a proxy, or a broken server. */

import type { ApiServer } from "../../../lib/credentials/api_server.ts";

/** `api`, but for the requests (path and query) to which `answer` has an answer. */
export function lying(
  api: ApiServer,
  answer: (path: string) => Response | undefined,
): ApiServer {
  return {
    server: api.server,
    identity: api.identity,
    authority: api.authority,
    proxy: api.proxy,
    fetch: async (path, init) => answer(path) ?? await api.fetch(path, init),
    dropConnections: () => api.dropConnections(),
    [Symbol.dispose]: () => api[Symbol.dispose](),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}
