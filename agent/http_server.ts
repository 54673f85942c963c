/**
 * HTTP/1.1 for people and probes who may be anybody: connections, bytes and time are bounded, and what
 * goes wrong with one of them, or with accepting one, ends that one alone. The runtime's own server has
 * none of these bounds, and ends the process when descriptors run out. One request a connection; RFC 9112.
 */

import { systemClock } from "../lib/base/clock.ts";
import type { Logger } from "../lib/base/log.ts";
import {
  type Head,
  readBody,
  readHead,
  RequestError,
  writeAll,
  writeResponse,
} from "./http_message.ts";

/** A listener, and the function that answers requests. */
export interface HttpServerOptions {
  /** For messages: `the health port`. */
  readonly name: string;
  readonly listener: Deno.Listener;
  /** Answers a request; an error that it throws is logged and answered with 500. A body needs a content-length. */
  readonly answer: (request: Request) => Response | Promise<Response>;
  readonly logger: Logger;
  /** @default {64} */
  readonly connectionsMax?: number;
  /** A body that is longer is not read, and refused by `answer`. @default {0} */
  readonly bodyBytesMax?: number;
  /** How long a request may take to come. @default {5000} */
  readonly requestMsMax?: number;
}

const CONNECTIONS_MAX = 64;
const REQUEST_MS_MAX = 5_000;
/** How long an answer may take to go, … */
const ANSWER_MS_MAX = 10_000;
/** … and how many bytes of an unread request are read after it, and for how long, so that the answer arrives. */
const DRAIN_BYTES_MAX = 4 << 20;
const DRAIN_MS_MAX = 2_000;
/** The pause after accept(2) failed (ms): the descriptors may have run out. */
const ACCEPT_PAUSE_MS = 100;
const ACCEPT_LOG_INTERVAL_MS = 60_000;

/** A server that runs until it is shut down. */
export class HttpServer implements AsyncDisposable {
  readonly #options: Required<HttpServerOptions>;
  /** Open connections, the oldest first, and whether an answer is being made or sent on each. */
  readonly #connections = new Map<Deno.Conn, { isAnswering: boolean }>();
  readonly #answers = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;
  #isClosed = false;
  #loggedAtMs = -Infinity;

  /** Begins to answer. */
  constructor(options: HttpServerOptions) {
    this.#options = {
      connectionsMax: CONNECTIONS_MAX,
      bodyBytesMax: 0,
      requestMsMax: REQUEST_MS_MAX,
      ...options,
    };
    this.#accepting = this.#accept();
  }

  get addr(): Deno.Addr {
    return this.#options.listener.addr;
  }

  /** Accepts no more connections, and waits for the answers in progress. */
  async shutdown(): Promise<void> {
    this.#isClosed = true;
    closeQuietly(this.#options.listener);
    await this.#accepting;
    for (const [connection, { isAnswering }] of this.#connections) {
      if (!isAnswering) closeQuietly(connection);
    }
    await Promise.all(this.#answers);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #accept(): Promise<void> {
    const { listener, connectionsMax } = this.#options;
    while (!this.#isClosed) {
      let connection: Deno.Conn;
      try {
        connection = await listener.accept();
      } catch (error) {
        if (this.#isClosed) return;
        this.#tell(error);
        await systemClock.sleep(ACCEPT_PAUSE_MS);
        continue;
      }
      if (this.#connections.size >= connectionsMax) this.#makeRoom();
      if (this.#connections.size >= connectionsMax) {
        closeQuietly(connection);
        continue;
      }
      const answered = this.#serve(connection);
      this.#answers.add(answered);
      answered.finally(() => this.#answers.delete(answered));
    }
  }

  /** Closes the oldest connection on which no answer is in progress. */
  #makeRoom(): void {
    for (const [connection, { isAnswering }] of this.#connections) {
      if (isAnswering) continue;
      this.#connections.delete(connection);
      closeQuietly(connection);
      return;
    }
  }

  #tell(error: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#loggedAtMs < ACCEPT_LOG_INTERVAL_MS) return;
    this.#loggedAtMs = nowMs;
    this.#options.logger.warn("connection not accepted", { at: this.#options.name, error });
  }

  /** Answers one request; it does not throw whatever the peer does. */
  async #serve(connection: Deno.Conn): Promise<void> {
    const state = { isAnswering: false };
    this.#connections.set(connection, state);
    const gone = new AbortController();
    const timer = new Timer(() => closeQuietly(connection));
    try {
      timer.start(this.#options.requestMsMax);
      let response: Response;
      let isHead = false;
      try {
        const head = await readHead(connection);
        isHead = head.method === "HEAD";
        const request = await this.#requestOf(connection, head, gone.signal);
        state.isAnswering = true;
        timer.stop();
        const reading = watchEnd(connection, gone);
        response = await this.#answer(request);
        timer.start(ANSWER_MS_MAX);
        await writeResponse(connection, response, isHead);
        state.isAnswering = false;
        await connectionEnd(connection, reading, timer);
        return;
      } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        response = Response.json({ error: error.message }, { status: error.status });
      }
      timer.start(ANSWER_MS_MAX);
      await writeResponse(connection, response, isHead);
      await connectionEnd(connection, drain(connection), timer);
    } catch {
      // The peer has closed, or took too long.
    } finally {
      timer.stop();
      this.#connections.delete(connection);
      closeQuietly(connection);
    }
  }

  /** @throws {RequestError} if the request is malformed */
  async #requestOf(connection: Deno.Conn, head: Head, signal: AbortSignal): Promise<Request> {
    const { method, target, headers } = head;
    // A client that takes us for a proxy sends the whole URL, which a server has to take: RFC 9112, 3.2.2.
    const path = target.replace(/^http:\/\/[^/]*/i, "") || "/";
    const url = path.startsWith("/") && URL.canParse(`http://agent${path}`)
      ? `http://agent${path}`
      : undefined;
    const host = headers.get("host") ?? "";
    if (url === undefined) throw new RequestError(400, "The request's target is no path");
    if (!/^[\w.:[\]%-]*$/.test(host)) throw new RequestError(400, "Host is no host");
    const length = Number(headers.get("content-length") ?? 0);
    const hasBody = Number.isInteger(length) && length > 0 &&
      length <= this.#options.bodyBytesMax &&
      method !== "GET" && method !== "HEAD";
    if (hasBody && headers.get("expect")?.toLowerCase() === "100-continue") {
      await writeAll(connection, new TextEncoder().encode("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    const body = hasBody ? await readBody(connection, head.rest, length) : null;
    try {
      return new Request(url, { method, headers, body, signal });
    } catch {
      throw new RequestError(400, "The request's method is none that is answered");
    }
  }

  async #answer(request: Request): Promise<Response> {
    try {
      return await this.#options.answer(request);
    } catch (error) {
      this.#options.logger.error("request failed", { at: this.#options.name, error });
      return Response.json({ error: "The agent failed to answer: see its log" }, { status: 500 });
    }
  }
}

/** Reads on while the answer is made, and says when the peer has gone. */
async function watchEnd(connection: Deno.Conn, gone: AbortController): Promise<void> {
  await drain(connection);
  gone.abort();
}

/** Reads the rest of the request, up to a bound, and drops it. It never throws: the client may have closed. */
async function drain(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16 << 10);
  try {
    for (let bytes = 0; bytes < DRAIN_BYTES_MAX;) {
      const size = await connection.read(buffer);
      if (size === null) return;
      bytes += size;
    }
  } catch {
    // Reset, or closed by us.
  }
}

/**
 * Closes a connection so that its answer arrives: a close with unread bytes sends a reset, and the
 * peer's kernel then drops the answer too (RFC 9112, 9.6).
 */
async function connectionEnd(
  connection: Deno.Conn,
  reading: Promise<void>,
  timer: Timer,
): Promise<void> {
  timer.start(DRAIN_MS_MAX);
  await connection.closeWrite();
  await reading;
}

/** Runs one timer at a time. */
class Timer {
  readonly #onOver: () => void;
  #timer: number | undefined;

  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  start(durationMs: number): void {
    this.stop();
    this.#timer = setTimeout(this.#onOver, durationMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It is closed already.
  }
}
