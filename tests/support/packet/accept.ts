/** Listeners of test servers that outlive what their callers do. */

/**
 * Hands every connection to `take` until the listener is closed. A caller that resets its connection
 * before it is taken makes Deno's accept() fail (ENOTCONN: it asks the socket for its peer), and a
 * `for await` over the listener ends there, so that the server is deaf from then on.
 *
 * @throws what accept() fails with beyond that, and what `take` throws
 */
export async function acceptAll(
  listener: Deno.TcpListener,
  take: (connection: Deno.TcpConn) => void,
): Promise<void> {
  for (;;) {
    let connection: Deno.TcpConn;
    try {
      connection = await listener.accept();
    } catch (error) {
      if (isReset(error)) continue;
      if (isClosed(error)) return;
      throw error;
    }
    take(connection);
  }
}

function isReset(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted;
}

function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
}
