import { assertEquals } from "@std/assert";
import { until } from "../tests/support/until.ts";
import { createLogger } from "../lib/base/log.ts";
import { HttpServer, type HttpServerOptions } from "./http_server.ts";

function serve(changes: Partial<HttpServerOptions> = {}): HttpServer {
  return new HttpServer({
    name: "a test",
    listener: changes.listener ?? Deno.listen({ hostname: "127.0.0.1", port: 0 }),
    answer: async (request) =>
      new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`),
    logger: createLogger({ level: "error", write: () => {} }),
    ...changes,
  });
}

async function connect(server: HttpServer): Promise<Deno.TcpConn> {
  const { port } = server.addr as Deno.NetAddr;
  return await Deno.connect({ port });
}

async function write(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** What comes until the other side closes. */
async function readAll(connection: Deno.Conn): Promise<string> {
  return await new Response(connection.readable).text();
}

/** Status line and body of what the server says to `text`. */
async function ask(server: HttpServer, text: string): Promise<[string, string]> {
  const connection = await connect(server);
  await write(connection, text);
  const answer = await readAll(connection);
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  return [head.split("\r\n")[0] ?? "", body];
}

Deno.test("HttpServer answers requests, and says what is wrong with others", async () => {
  await using server = serve({ bodyBytesMax: 10 });
  const ok = "HTTP/1.1 200 OK";
  const bad = "HTTP/1.1 400 Bad Request";
  const reason = (error: string): string => JSON.stringify({ error });
  const cases: readonly (readonly [string, string, string])[] = [
    ["GET /x HTTP/1.1\r\nhost: a:1\r\n\r\n", ok, "GET /x "],
    ["GET /x HTTP/1.0\r\n\r\n", ok, "GET /x "],
    ["GET http://a/x HTTP/1.1\r\nhost: a\r\n\r\n", ok, "GET /x "],
    ["HEAD /x HTTP/1.1\r\n\r\n", ok, ""],
    ["PUT /x HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi", ok, "PUT /x hi"],
    ["PUT /x HTTP/1.1\r\ncontent-length: 20\r\n\r\n" + "x".repeat(20), ok, "PUT /x "],
    ["GET /x HTTP/1.1\r\nhost: a b\r\n\r\n", bad, reason("Host is no host")],
    ["GET x HTTP/1.1\r\n\r\n", bad, reason("The request's target is no path")],
    ["GET /x HTTP/2\r\n\r\n", bad, reason("That is no HTTP/1.1 request")],
    ["\x16\x03\x01\r\n\r\n", bad, reason("That is no HTTP/1.1 request")],
    ["GET /x HTTP/1.1\r\nno header\r\n\r\n", bad, reason("A header is none")],
    [
      "TRACE /x HTTP/1.1\r\n\r\n",
      bad,
      reason("The request's method is none that is answered"),
    ],
    [
      `GET /x HTTP/1.1\r\nlong: ${"x".repeat(10_000)}`,
      "HTTP/1.1 431 Request Header Fields Too Large",
      reason("The request's head is larger than 8192 bytes"),
    ],
  ];
  for (const [text, status, body] of cases) {
    assertEquals(await ask(server, text), [status, body], text.slice(0, 60));
  }
  const connection = await connect(server);
  await write(
    connection,
    "PUT /x HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
  );
  await connection.read(new Uint8Array(100));
  await write(connection, "hi");
  assertEquals((await readAll(connection)).endsWith("PUT /x hi"), true);
});

Deno.test("HttpServer keeps no one out for those who only hold connections", async () => {
  await using server = serve({ connectionsMax: 8 });
  const idle = await Promise.all(Array.from({ length: 40 }, () => connect(server)));
  await Promise.all(idle.map((it) => write(it, "GET /").catch(() => {})));
  for (let round = 0; round < 5; round++) {
    assertEquals(await ask(server, "GET /x HTTP/1.1\r\n\r\n"), ["HTTP/1.1 200 OK", "GET /x "]);
  }
  idle.forEach((it) => it.close());
});

Deno.test("HttpServer gives up requests that do not come", async () => {
  await using server = serve({ requestMsMax: 50, bodyBytesMax: 10 });
  for (const text of ["", "GET /x HT", "PUT /x HTTP/1.1\r\ncontent-length: 5\r\n\r\nhi"]) {
    const connection = await connect(server);
    await write(connection, text);
    assertEquals(await readAll(connection).catch(() => ""), "");
  }
});

Deno.test("HttpServer goes on after a handler that throws, and tells one whose peer has gone", async () => {
  let isGone = false;
  await using server = serve({
    answer: async (request) => {
      if (new URL(request.url).pathname === "/throw") throw new Error("on purpose");
      if (new URL(request.url).pathname === "/wait") {
        await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        isGone = true;
      }
      return new Response("ok");
    },
  });
  assertEquals(
    (await ask(server, "GET /throw HTTP/1.1\r\n\r\n"))[0],
    "HTTP/1.1 500 Internal Server Error",
  );
  const connection = await connect(server);
  await write(connection, "GET /wait HTTP/1.1\r\n\r\n");
  connection.close();
  await until("the handler hears of it", () => isGone);
  assertEquals((await ask(server, "GET /x HTTP/1.1\r\n\r\n"))[1], "ok");
});

Deno.test("HttpServer goes on after connections that could not be accepted", async () => {
  const real = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let failures = 3;
  const listener = {
    addr: real.addr,
    accept: () => failures-- > 0 ? Promise.reject(new Error("Too many open files")) : real.accept(),
    close: () => real.close(),
  } as Deno.Listener;
  await using server = serve({ listener });
  assertEquals((await ask(server, "GET /x HTTP/1.1\r\n\r\n"))[1], "GET /x ");
});
