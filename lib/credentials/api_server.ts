/**
 * The API server as a place to send requests to: over native `fetch`, with the credentials of the
 * moment. Files that rotate and plug-ins whose tokens expire are followed; an answer of 401 makes
 * everything be read again, once. What the answers mean is the business of `lib/datastore`.
 */

import { type Clock, systemClock } from "../base/clock.ts";
import { messageOf } from "../base/error.ts";
import { chooseConnection } from "./choose_connection.ts";
import type { Connection } from "./connection.ts";
import { CredentialsError } from "./error.ts";
import type { Identity } from "./login.ts";
import { checkAuthorities, checkCertificate } from "./pem.ts";
import { takeRuntimeEnvironment } from "./runtime_environment.ts";
import { equalSecrets, type Secret } from "./secret.ts";
import {
  type CredentialSettings,
  mergeSettings,
  requireKubernetes,
  type SettingSources,
} from "./settings.ts";
import { readSystemAuthorities } from "./system_authorities.ts";

/** The sources of the API server's address and credentials, in falling priority, and the user agent. */
export interface ApiServerSources extends SettingSources {
  /** What a pod finds about itself: `apiEndpoint`, `tokenFile`, `caFile`. @default {as mounted} */
  readonly inCluster?: CredentialSettings | undefined;
  /** Path of `~/.kube/config`, where that counts. */
  readonly homeKubeconfig?: string | undefined;
  /** `calyx-agent/1.2.3`. */
  readonly userAgent: string;
}

export interface ApiServerOptions {
  /** @default {systemClock} */
  readonly clock?: Clock;
  /** Called with the reason, once for each, if renewed credentials cannot be used and the old ones stay. */
  readonly onNotRenewed?: (error: CredentialsError) => void;
  /** Called with the reason, once for each, if a certificate of the given CA bundle cannot be used. */
  readonly onUnusedAuthority?: (reason: string) => void;
}

/** An API server and our credentials for it. */
export interface ApiServer extends Disposable, AsyncDisposable {
  /** URL without a slash at its end. */
  readonly server: string;
  /** Our identity, for messages: `token (K8S_TOKEN)`. Never a secret. */
  readonly identity: string;
  /** The CA that we trust, for messages: `CA "/etc/ca.crt" (K8S_CA_FILE)`. */
  readonly authority: string;
  /** The proxy, for messages: `proxy http://10.0.0.1:3128 (HTTPS_PROXY)`. */
  readonly proxy: string | undefined;
  /**
   * Sends a request for `path` (`/api/v1/pods?limit=500`). Any status is an answer.
   *
   * @throws {CredentialsError} if the credentials cannot be used
   * @throws {TypeError} if the server cannot be reached or trusted: `fetch`'s own
   */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Sends later requests on new connections; requests in progress keep theirs. */
  dropConnections(): void;
}

/**
 * Finds the API server and checks our credentials, without asking it yet.
 *
 * @throws {CredentialsError} one sentence that says what is wrong, where, and what to do
 */
export async function openApiServer(
  sources: ApiServerSources,
  options: ApiServerOptions = {},
): Promise<ApiServer> {
  const { clock = systemClock, onNotRenewed = () => {}, onUnusedAuthority = () => {} } = options;
  const settings = mergeSettings(sources);
  requireKubernetes(settings);
  const choose = (): Promise<Connection> => chooseConnection(settings, { ...sources, clock });
  takeRuntimeEnvironment();
  const { userAgent } = sources;
  const server = new HttpApiServer(await choose(), {
    ...{ choose, userAgent, clock, onNotRenewed, onUnusedAuthority },
  });
  try {
    await server.open();
  } catch (error) {
    server[Symbol.dispose]();
    throw error;
  }
  return server;
}

/** The credentials of a connection, and the HTTP client built from them. */
interface Session {
  readonly client: Deno.HttpClient;
  /** Returns a new client without connections. */
  readonly createClient: () => Deno.HttpClient;
  readonly authority: Secret | undefined;
  readonly pair: Identity["pair"];
  readonly authorization: Secret | undefined;
  /** When the client certificate ends. */
  readonly expiresAtMs: number;
}

/** The shortest time between two forced refreshes of the credentials. */
const FORCE_INTERVAL_MS = 2_000;
/** All watches notice a dead server at once: within this time (ms) the new connections are not dropped again. */
const DROP_INTERVAL_MS = 2_000;

interface HttpOptions extends Required<ApiServerOptions> {
  readonly choose: () => Promise<Connection>;
  readonly userAgent: string;
}

class HttpApiServer implements ApiServer {
  #connection: Connection;
  readonly #options: HttpOptions;
  readonly #clock: Clock;
  #session: Session | undefined;
  /** The client before this one. */
  #retired: Deno.HttpClient | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #forcedAtMs = -Infinity;
  #droppedAtMs = -Infinity;
  #isClosed = false;
  /** Why certificates of the CA bundle cannot be used. */
  #unusedAuthorities: readonly string[] = [];
  /** Why the last renewed credentials cannot be used. */
  #notRenewed: string | undefined;

  constructor(connection: Connection, options: HttpOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#clock = options.clock;
  }

  get server(): string {
    return this.#connection.server;
  }

  get identity(): string {
    const { login, pair } = this.#connection;
    return login?.name ?? pair?.certificate.name ?? "no credentials at all";
  }

  get authority(): string {
    return this.#connection.authority?.name ?? "the system's certificate authorities";
  }

  get proxy(): string | undefined {
    return this.#connection.proxy?.name;
  }

  /** Reads everything for the first time. */
  async open(): Promise<void> {
    await this.#refresh(false);
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const session = await this.#refresh(false);
    let response: Response;
    try {
      response = await this.#send(session, path, init);
    } catch (error) {
      if (!isCertificateRefused(error) || !isRepeatable(init)) throw error;
      const renewed = await this.#refresh(true, session);
      if (renewed === session) throw error;
      return await this.#send(renewed, path, init);
    }
    if (response.status !== 401 || !isRepeatable(init)) return response;
    let renewed: Session;
    try {
      renewed = await this.#refresh(true, session);
    } catch (error) {
      await response.body?.cancel();
      throw error;
    }
    if (renewed === session) return response;
    await response.body?.cancel();
    return await this.#send(renewed, path, init);
  }

  dropConnections(): void {
    const session = this.#session;
    const nowMs = this.#clock.nowMs();
    if (session === undefined || Math.abs(nowMs - this.#droppedAtMs) < DROP_INTERVAL_MS) return;
    this.#droppedAtMs = nowMs;
    this.#retire(session.client);
    this.#session = { ...session, client: session.createClient() };
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#session?.client.close();
    this.#retired?.close();
    this.#session = this.#retired = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    return Promise.resolve();
  }

  async #send(session: Session, path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("accept")) headers.set("accept", "application/json");
    headers.set("user-agent", this.#options.userAgent);
    for (const [name, value] of Object.entries(this.#connection.headers)) headers.set(name, value);
    if (session.authorization !== undefined) {
      headers.set("authorization", session.authorization.reveal());
    }
    // A redirect would send our credentials to another server.
    const options = { ...init, headers, redirect: "manual", client: session.client } as const;
    return await fetch(this.server + path, options);
  }

  /**
   * Returns the current session, refreshed. `refused` is the session that the server did not accept: if it
   * is still the current one, all credentials are read again.
   */
  #refresh(isForced: boolean, refused?: Session): Promise<Session> {
    const next = this.#turn.then(async () => {
      if (this.#isClosed) throw new CredentialsError("The connection to the API server is closed");
      const current = this.#session;
      if (refused !== undefined && current !== undefined && current !== refused) return current;
      const isExpired = current !== undefined && this.#clock.nowMs() > current.expiresAtMs;
      const nowMs = this.#clock.nowMs();
      if (isForced && Math.abs(nowMs - this.#forcedAtMs) < FORCE_INTERVAL_MS && current) {
        return current;
      }
      if (isForced) this.#forcedAtMs = nowMs;
      return await this.#read(isForced || isExpired);
    });
    this.#turn = next.catch(() => {});
    return next;
  }

  async #read(isForced: boolean): Promise<Session> {
    const known = this.#session;
    if (isForced && await this.#connection.isStale()) {
      this.#connection = await this.#options.choose();
    }
    const connection = this.#connection;
    const authority = await connection.authority?.read(isForced);
    const identity = await connection.login?.identify(isForced);
    const pair = connection.pair === undefined ? identity?.pair : {
      certificate: await connection.pair.certificate.read(isForced),
      key: await connection.pair.key.read(isForced),
    };
    const authorization = identity?.authorization;
    const isSameClient = known !== undefined && equalSecrets(known.authority, authority) &&
      equalSecrets(known.pair?.certificate, pair?.certificate) &&
      equalSecrets(known.pair?.key, pair?.key);
    const isExpired = known !== undefined && this.#clock.nowMs() > known.expiresAtMs;
    if (isSameClient && !isExpired) {
      if (equalSecrets(known.authorization, authorization)) return known;
      return this.#session = { ...known, authorization };
    }
    let checked: Checked;
    try {
      checked = this.#check(connection, authority, pair);
    } catch (error) {
      // Half of a rotation: the old pair is used until the new one is complete, or the server refuses it.
      if (known === undefined || isForced || !(error instanceof CredentialsError)) throw error;
      if (this.#notRenewed !== error.message) this.#options.onNotRenewed(error);
      this.#notRenewed = error.message;
      return known;
    }
    this.#notRenewed = undefined;
    const { expiresAtMs } = checked;
    const createClient = (): Deno.HttpClient => this.#createClient(connection, checked);
    const client = createClient();
    this.#retire(known?.client);
    return this.#session = { client, createClient, authority, pair, authorization, expiresAtMs };
  }

  /** Watches keep their connections, and a request may be just about to use the old client. */
  #retire(client: Deno.HttpClient | undefined): void {
    this.#retired?.close();
    this.#retired = client;
  }

  #check(connection: Connection, authority: Secret | undefined, pair: Identity["pair"]): Checked {
    const isPlain = connection.server.startsWith("http:");
    const authorities = authority !== undefined
      ? this.#checkAuthorities(authority.reveal(), this.authority)
      : isPlain
      ? undefined
      : this.#checkAuthorities(readSystemAuthorities(), "CA bundle of this system");
    if (pair === undefined) return { authorities, pair, expiresAtMs: Infinity };
    const login = connection.login?.name ?? "login";
    const names = connection.pair === undefined
      ? { certificate: `certificate of ${login}`, key: `key of ${login}` }
      : { certificate: connection.pair.certificate.name, key: connection.pair.key.name };
    const pem = { certificate: pair.certificate.reveal(), key: pair.key.reveal() };
    const checked = checkCertificate(pem, names, this.#clock.nowMs());
    return { authorities, pair: checked, expiresAtMs: checked.expiresAtMs };
  }

  #checkAuthorities(authorities: string, name: string): string {
    const { pem, unused } = checkAuthorities(authorities, name);
    for (const reason of unused) {
      if (!this.#unusedAuthorities.includes(reason)) this.#options.onUnusedAuthority(reason);
    }
    this.#unusedAuthorities = unused;
    return pem;
  }

  #createClient(connection: Connection, { authorities, pair }: Checked): Deno.HttpClient {
    const options: Deno.CreateHttpClientOptions = {
      // Each request has its own connection: a dead one affects no other request.
      http2: false,
      ...(authorities === undefined ? {} : { caCerts: [authorities] }),
      ...(connection.proxy === undefined ? {} : { proxy: connection.proxy.options }),
    };
    try {
      if (pair === undefined) return Deno.createHttpClient(options);
      return Deno.createHttpClient({ ...options, cert: pair.certificate, key: pair.key });
    } catch (error) {
      // The reason is Deno's own text about the certificates; it repeats none of them.
      const reason = messageOf(error);
      throw new CredentialsError(
        `TLS does not take ${this.authority} or ${this.identity}: ${reason}`,
      );
    }
  }
}

/** A client's certificates and key, as PEM texts, and when they expire. */
interface Checked {
  readonly authorities: string | undefined;
  readonly pair: { readonly certificate: string; readonly key: string } | undefined;
  readonly expiresAtMs: number;
}

/** Whether one side ended the handshake because of a certificate: one of ours may have rotated. */
function isCertificateRefused(error: unknown): boolean {
  return error instanceof TypeError && /fatal alert|invalid peer certificate/.test(error.message);
}

function isRepeatable({ body }: RequestInit): boolean {
  return !(body instanceof ReadableStream);
}
