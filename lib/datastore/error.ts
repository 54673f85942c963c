/** Errors of the API server: what was requested, what came back, what to do. */

import { isRecord } from "../base/json.ts";
import type { ApiServer } from "../credentials/api_server.ts";

/** A request of the API server that failed. */
export class DatastoreError extends Error {
  override readonly name = "DatastoreError";
  /** The HTTP status; `undefined` when there was no answer. */
  readonly status: number | undefined;
  /** `reason` of the server's Status object: `Expired`, `Forbidden`, … */
  readonly reason: string | undefined;
  /** How long the server asks us to wait. */
  readonly retryAfterMs: number | undefined;
  /** The watch sent an unusable event: continuing from there could lose changes. */
  readonly mustList: boolean;

  constructor(
    message: string,
    details: {
      readonly status?: number | undefined;
      readonly reason?: string | undefined;
      readonly retryAfterMs?: number | undefined;
      readonly mustList?: boolean;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: details.cause });
    this.status = details.status;
    this.reason = details.reason;
    this.retryAfterMs = details.retryAfterMs;
    this.mustList = details.mustList ?? false;
  }

  /** 410: what we wanted to continue from is no longer kept; list again. */
  get isGone(): boolean {
    return this.status === 410 || this.reason === "Expired" || this.reason === "Gone";
  }
}

const REMEDIES: Readonly<Record<number, string>> = {
  401: "the credentials are missing, wrong or expired: renew the token or certificate",
  403: "the account lacks the permission: grant it get, list and watch by RBAC",
  404: "the server does not know this resource",
};

/** How much of an answer that is no Status object goes into a message. */
const EXCERPT_LENGTH_MAX = 200;
/** How much of the runtime's text: the names that a certificate is for stand at its end. */
const CAUSE_LENGTH_MAX = 1_000;

/** What a failed handshake means, by the runtime's text; `authority` and `identity` are names. */
const HANDSHAKE_FAILURES: readonly (readonly [
  text: RegExp,
  problem: (server: string, names: Pick<ServerNames, "authority" | "identity">) => string,
])[] = [
  [
    /fatal alert: CertificateRequired/,
    (server, { identity }) =>
      `${server} asks for a client certificate, and we have ${identity}: give one`,
  ],
  [
    /fatal alert: (?:\w*Certificate\w*|UnknownCA|AccessDenied|DecryptError)/,
    (server, { identity }) =>
      `${server} refuses ${identity}: use one that its own CA has signed, and that has not expired`,
  ],
  [
    /fatal alert|HandshakeFailure|InappropriateHandshake|PeerIncompatible/,
    (server) => `${server} and we agree on no way to speak TLS: it must offer TLS 1.2 or 1.3`,
  ],
  [
    /CaUsedAsEndEntity/,
    (server) =>
      `the certificate of ${server} is a CA's, which TLS does not take for a server's here: ` +
      "give it one with basicConstraints CA:FALSE, signed by that CA",
  ],
  [
    /UnsupportedCertVersion/,
    (server) =>
      `the certificate of ${server} is of X.509 version 1, which TLS does not take here: ` +
      "issue it again with a subjectAltName",
  ],
  [
    /not valid for name|NotValidForName/,
    (server) =>
      `the certificate of ${server} is for other names: use one of them in the server's URL`,
  ],
  [
    /certificate expired|Expired/,
    (server) => `the certificate of ${server} has expired: renew it, or set this machine's clock`,
  ],
  [
    /not valid yet|NotValidYet/,
    (server) => `the certificate of ${server} is not valid yet: set this machine's clock`,
  ],
  [
    /UnknownIssuer|BadSignature/,
    (server, { authority }) =>
      `the certificate of ${server} is not signed by ${authority}: give the CA that signed it`,
  ],
  [
    /certificate/i,
    (server, { authority }) =>
      `the certificate of ${server} is not one that TLS takes by ${authority}: see the reason`,
  ],
];

/** The API server's URL, its CA, our identity and the proxy, as messages name them. */
export type ServerNames = Pick<ApiServer, "server" | "authority" | "identity" | "proxy">;

/** The error for a request without answer. */
export function connectionError(
  operation: string,
  api: ServerNames,
  cause: unknown,
): DatastoreError {
  const { server, proxy } = api;
  const texts: string[] = [];
  for (let error = cause; error instanceof Error; error = error.cause) texts.push(error.message);
  const text = texts.at(-1)?.slice(-CAUSE_LENGTH_MAX) ?? String(cause);
  const handshake = HANDSHAKE_FAILURES.find(([it]) => it.test(texts.join("\n")))?.[1];
  const problem = handshake !== undefined
    ? handshake(server, api)
    : /protocol version|InvalidContentType|corrupt message/.test(text)
    ? `${server} does not speak TLS: check its protocol and port`
    : proxy === undefined
    ? `${server} does not answer: check the address and that the API server runs`
    : `${server} does not answer through ${proxy}: check both, or name the server in NO_PROXY`;
  return new DatastoreError(`Cannot ${operation}: ${problem} (${text})`, { cause });
}

/** The error for an answer that is not 2xx; consumes its body. */
export async function responseError(
  operation: string,
  response: Response,
): Promise<DatastoreError> {
  const text = await readBounded(response);
  const { message, reason } = parseStatus(text);
  const remedy = REMEDIES[response.status];
  return new DatastoreError(
    `Cannot ${operation}: the API server answers ${response.status}` +
      `${remedy === undefined ? "" : `, ${remedy}`}${message === "" ? "" : ` (${message})`}`,
    { status: response.status, reason, retryAfterMs: retryAfterMs(response) },
  );
}

/** The error for a Status object in place of what was asked, as a watch sends it. */
export function statusError(operation: string, status: unknown): DatastoreError {
  const { code, message, reason } = isRecord(status) ? status : {};
  const text = typeof message === "string" ? message.slice(0, EXCERPT_LENGTH_MAX) : "";
  return new DatastoreError(`Cannot ${operation}: ${text || "the API server gives no reason"}`, {
    mustList: true,
    status: typeof code === "number" ? code : undefined,
    reason: typeof reason === "string" ? reason : undefined,
  });
}

function parseStatus(text: string): { message: string; reason: string | undefined } {
  try {
    const status: unknown = JSON.parse(text);
    if (isRecord(status) && typeof status.message === "string") {
      return {
        message: status.message.slice(0, EXCERPT_LENGTH_MAX),
        reason: typeof status.reason === "string" ? status.reason : undefined,
      };
    }
  } catch {
    // A proxy's page, or nothing.
  }
  return { message: text.trim().slice(0, EXCERPT_LENGTH_MAX), reason: undefined };
}

/** `Retry-After` in seconds; a date is not what API servers send. */
function retryAfterMs(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

/** At most 64 KiB of the body. */
async function readBounded(response: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > 65_536) break;
    }
  } catch {
    // The part that arrived is enough.
  }
  return text;
}
