/**
 * Brings an API server into namespaces that have no network of ours: outside, an HTTP server on a unix
 * socket that adds the credentials; inside, a TCP port on loopback that leads to it. As with
 * `kubectl proxy`, who reaches the socket has the credentials: it lies in a folder of the caller's.
 */

import type { ApiServer } from "../../../lib/credentials/api_server.ts";
import { acceptAll } from "../packet/accept.ts";

/** Hop-by-hop headers and those that the next hop sets itself. */
const DROPPED = ["authorization", "connection", "host", "content-length", "transfer-encoding"];

/** Serves `api` on the unix socket `path`. */
export function serveRelay(api: ApiServer, path: string): Deno.HttpServer {
  return Deno.serve({ transport: "unix", path, onListen: () => {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const headers = new Headers(request.headers);
    for (const name of DROPPED) headers.delete(name);
    const response = await api.fetch(pathname + search, {
      method: request.method,
      headers,
      signal: request.signal,
      ...(request.body === null ? {} : { body: await request.arrayBuffer() }),
    });
    return new Response(response.body, { status: response.status, headers: response.headers });
  });
}

/** A TCP port on loopback whose connections go to the unix socket `path`. */
export function openRelayPort(path: string): { readonly url: string } & Disposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let failure: unknown;
  acceptAll(listener, (connection) => {
    pipe(connection, path).catch(() => connection.close());
  }).catch((error) => failure = error);
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    [Symbol.dispose]: () => {
      listener.close();
      if (failure !== undefined) throw failure;
    },
  };
}

async function pipe(connection: Deno.TcpConn, path: string): Promise<void> {
  const upstream = await Deno.connect({ transport: "unix", path });
  await Promise.allSettled([
    connection.readable.pipeTo(upstream.writable),
    upstream.readable.pipeTo(connection.writable),
  ]);
}
