/** Requests and answers of HTTP/1.1, from and to a connection, within bounds: RFC 9112. */

import { concatBytes } from "../lib/base/bytes.ts";

const HEAD_BYTES_MAX = 8 << 10;
const END_OF_HEAD = new TextEncoder().encode("\r\n\r\n");
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  409: "Conflict",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** What is wrong with a request, and the status that says so. */
export class RequestError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The head of a request. */
export interface Head {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  /** What came after it. */
  readonly rest: Uint8Array;
}

/**
 * Reads the head of a request: RFC 9112, 2, 3 and 5.
 *
 * @throws {RequestError} if it makes no sense or is too long
 */
export async function readHead(connection: Deno.Conn): Promise<Head> {
  const buffer = new Uint8Array(HEAD_BYTES_MAX);
  for (let length = 0; length < buffer.length;) {
    const size = await connection.read(buffer.subarray(length));
    if (size === null) throw new Error("The peer went");
    const known = Math.max(0, length - END_OF_HEAD.length + 1);
    length += size;
    const end = indexOf(buffer.subarray(0, length), END_OF_HEAD, known);
    if (end >= 0) {
      return parseHead(buffer.subarray(0, end), buffer.slice(end + END_OF_HEAD.length, length));
    }
  }
  throw new RequestError(431, `The request's head is larger than ${HEAD_BYTES_MAX} bytes`);
}

function parseHead(bytes: Uint8Array, rest: Uint8Array): Head {
  const [first = "", ...lines] = new TextDecoder().decode(bytes).split("\r\n");
  const [, method, target] = /^([A-Z]{1,20}) (\S+) HTTP\/1\.[01]$/.exec(first) ?? [];
  if (method === undefined || target === undefined) {
    throw new RequestError(400, "That is no HTTP/1.1 request");
  }
  const headers = new Headers();
  try {
    for (const line of lines) {
      const colon = line.indexOf(":");
      headers.append(line.slice(0, Math.max(0, colon)), line.slice(colon + 1).trim());
    }
  } catch {
    throw new RequestError(400, "A header is none");
  }
  return { method, target, headers, rest };
}

/** Reads a body of which `first` has come already. */
export async function readBody(
  connection: Deno.Conn,
  first: Uint8Array,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = new Uint8Array(length);
  body.set(first.subarray(0, length));
  for (let at = Math.min(first.length, length); at < length;) {
    const size = await connection.read(body.subarray(at));
    if (size === null) throw new Error("The peer went");
    at += size;
  }
  return body;
}

/** Writes an answer whole, as the last one of its connection. */
export async function writeResponse(
  connection: Deno.Conn,
  response: Response,
  isHead: boolean,
): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  const lines = [
    `HTTP/1.1 ${response.status} ${REASONS[response.status] ?? "Status"}`,
    ...[...response.headers].map(([name, value]) => `${name}: ${value}`),
    `content-length: ${body.length}`,
    "connection: close",
  ];
  const head = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
  await writeAll(connection, isHead ? head : concatBytes([head, body]));
}

/** Writes all of `bytes`. */
export async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function indexOf(bytes: Uint8Array, part: Uint8Array, from: number): number {
  const [first = 0] = part;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (part.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}
