/** From one HTTP request to its response: faults, token, path, verb. */

import { sleep } from "../../../../lib/base/async.ts";
import { parseYaml } from "../../../../lib/base/yaml.ts";
import { discover } from "./discovery.ts";
import type { Faults, RequestRecord } from "./faults.ts";
import { checkListOptions, parseInitialEvents } from "./list_options.ts";
import { asObject, formatKey, type JsonObject, textOf } from "./object.ts";
import { formatList, type Pager, parseCount, parseVersion } from "./pager.ts";
import { PATCH_TYPES } from "./patch.ts";
import { parseSelectors } from "./selector.ts";
import { broken, cut, drip } from "./spoil.ts";
import { StatusError } from "./status.ts";
import type { Store } from "./store.ts";
import { parseTarget, type Target } from "./target.ts";
import { Watch } from "./watch.ts";
import type { WriteOptions, Writer } from "./writer.ts";

/** What the handler works on and how it behaves. */
export interface HandlerOptions {
  readonly store: Store;
  readonly writer: Writer;
  readonly pager: Pager;
  readonly faults: Faults;
  readonly watches: Set<Watch>;
  /** Bearer tokens that are let in; empty lets everybody in. */
  readonly tokens: ReadonlySet<string>;
  readonly record: (request: RequestRecord) => void;
  readonly gracefulDeletion: boolean;
  readonly goneAs: "event" | "response";
  readonly bookmarkIntervalMs: number;
  readonly watchQueueMax: number;
  /** Which Kubernetes 1.N it is. */
  readonly minor: number;
}

/** Paths that answer without a token, as to anonymous users of the real server. */
const PUBLIC_PATHS = /^\/(version|healthz|livez|readyz)\/?$/;

/** `no-transform` keeps Deno from compressing, which would hide how much a slow reader lacks. */
const JSON_HEADERS = {
  "content-type": "application/json",
  "cache-control": "no-cache, private, no-transform",
};

/** Answers one request; every refusal is a `Status` object. */
export async function handle(request: Request, options: HandlerOptions): Promise<Response> {
  const url = new URL(request.url);
  const record: RequestRecord = {
    method: request.method,
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    isWatch: request.method === "GET" && isTrue(url.searchParams.get("watch")),
    status: 0,
  };
  options.record(record);
  const strike = options.faults.strike(record);
  if (strike.delayMs > 0) await sleep(strike.delayMs);
  if (strike.silence !== undefined) {
    await strike.silence;
    return await broken();
  }
  let response: Response;
  try {
    if (strike.error !== undefined) throw strike.error;
    response = strike.garbage !== undefined
      ? new Response(strike.garbage, { headers: JSON_HEADERS })
      : await answer(request, url, options);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    response = refusal(error);
  }
  record.status = response.status;
  if (strike.isCut) return await cut(response);
  return strike.drip === undefined ? response : drip(response, strike.drip);
}

async function answer(request: Request, url: URL, options: HandlerOptions): Promise<Response> {
  const { store, tokens } = options;
  const path = url.pathname;
  if (tokens.size > 0 && !PUBLIC_PATHS.test(path)) checkToken(request, tokens);
  const said = discover(path, store, options.minor);
  if (said !== undefined) {
    if (request.method !== "GET") throw notAllowed();
    return typeof said === "string" ? new Response(said) : json(200, JSON.stringify(said));
  }
  const target = parseTarget(path, store);
  if (target === undefined) return new Response("404 page not found\n", { status: 404 });
  checkAccept(request);
  const isDryRun = url.searchParams.get("dryRun") === "All";
  const write: WriteOptions = { isDryRun, gracefulDeletion: options.gracefulDeletion };
  return target.name === undefined
    ? await answerCollection(request, url.searchParams, target, write, options)
    : await answerObject(request, url.searchParams, target, write, options);
}

async function answerCollection(
  request: Request,
  query: URLSearchParams,
  target: Target,
  write: WriteOptions,
  options: HandlerOptions,
): Promise<Response> {
  const { collection, namespace } = target;
  const { store, writer, pager } = options;
  const isWhere = !collection.kind.namespaced || namespace !== undefined;
  if (request.method === "GET") {
    const isWatch = isTrue(query.get("watch"));
    checkListOptions(query, isWatch, options.minor);
    if (isWatch) return watch(query, target, options);
    const match = parseSelectors(query, collection.kind);
    return json(200, pager.list(collection, store.resourceVersion, { namespace, match, query }));
  }
  if (request.method === "POST" && isWhere) {
    return json(201, textOf(writer.create(target, await readBody(request), write)));
  }
  if (request.method === "DELETE" && isWhere) {
    const match = parseSelectors(query, collection.kind);
    const objects = collection.snapshot().filter((it) =>
      (namespace === undefined || it.metadata.namespace === namespace) && (match?.(it) ?? true)
    );
    const deletion = await readDeletion(request, query);
    const gone = writer.deleteAll(collection, objects, deletion, write);
    const metadata = { resourceVersion: String(store.resourceVersion) };
    return json(200, formatList(collection, metadata, gone));
  }
  throw notAllowed();
}

async function answerObject(
  request: Request,
  query: URLSearchParams,
  target: Target,
  write: WriteOptions,
  { store, writer }: HandlerOptions,
): Promise<Response> {
  const { collection, namespace, name = "", subresource } = target;
  switch (request.method) {
    case "GET":
      return json(200, textOf(store.stored(collection, formatKey(namespace, name))));
    case "PUT":
      return json(200, textOf(writer.replace(target, await readBody(request), write)));
    case "PATCH": {
      const type = mediaType(request);
      if (!isPatchType(type) || (collection.kind.custom === true && type.includes("strategic"))) {
        throw new StatusError("UnsupportedMediaType", `no patch is of type "${type}"`);
      }
      const patch = parseJson(await request.text());
      const apply = (object: unknown): unknown => PATCH_TYPES[type](object, patch);
      return json(200, textOf(writer.patch(target, apply, write)));
    }
    case "DELETE": {
      if (subresource !== undefined) throw notAllowed();
      const deletion = await readDeletion(request, query);
      return json(200, JSON.stringify(writer.delete(target, deletion, write)));
    }
    default:
      throw notAllowed();
  }
}

function watch(query: URLSearchParams, target: Target, options: HandlerOptions): Response {
  const { collection, namespace } = target;
  const { store, watches } = options;
  const asked = query.get("resourceVersion") ?? "";
  const initialEvents = parseInitialEvents(query, options.minor);
  const version = asked === "" || asked === "0" ? undefined : parseVersion(asked);
  const since = initialEvents === true
    ? undefined
    : version ?? (initialEvents === false ? store.resourceVersion : undefined);
  if (options.goneAs === "response" && since !== undefined) {
    if (collection.changesSince(since) === undefined) {
      throw new StatusError("Expired", `too old resource version: ${since}`);
    }
  }
  const watch = new Watch({
    collection,
    namespace,
    match: parseSelectors(query, collection.kind),
    since,
    notOlderThan: initialEvents === true ? version ?? 0 : undefined,
    currentVersion: () => store.resourceVersion,
    bookmarks: isTrue(query.get("allowWatchBookmarks")),
    bookmarkIntervalMs: options.bookmarkIntervalMs,
    timeoutMs: parseCount(query, "timeoutSeconds") * 1000,
    queueMax: options.watchQueueMax,
    onEnded: (ended) => watches.delete(ended),
  });
  if (watch.isOpen) watches.add(watch);
  return new Response(watch.body, { headers: JSON_HEADERS });
}

function checkToken(request: Request, tokens: ReadonlySet<string>): void {
  const match = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "");
  if (match?.[1] === undefined || !tokens.has(match[1])) {
    throw new StatusError("Unauthorized", "Unauthorized");
  }
}

/** Clauses with `as=Table` ask for what this server has not; plain JSON must be among the others. */
function checkAccept(request: Request): void {
  const accepted = (request.headers.get("accept") ?? "*/*").split(",");
  const isFine = accepted.some((clause) =>
    /^\s*(application\/json|application\/\*|\*\/\*)\s*(;|$)/.test(clause) && !/;\s*as=/.test(clause)
  );
  if (!isFine) throw new StatusError("NotAcceptable", "only application/json is served");
}

async function readBody(request: Request): Promise<unknown> {
  const type = mediaType(request);
  const text = await request.text();
  if (type === "" || type === "application/json") return parseJson(text);
  if (type !== "application/yaml") {
    throw new StatusError("UnsupportedMediaType", `no object is of type "${type}"`);
  }
  try {
    return parseYaml(text);
  } catch (cause) {
    throw new StatusError("BadRequest", `the body is no YAML: ${cause}`);
  }
}

/** `DeleteOptions`, from the body or the query. */
async function readDeletion(request: Request, query: URLSearchParams): Promise<JsonObject> {
  const text = await request.text();
  const grace = query.get("gracePeriodSeconds");
  return {
    ...(grace === null ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(text === "" ? {} : asObject(parseJson(text))),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new StatusError("BadRequest", `the body is no JSON: ${cause}`);
  }
}

function mediaType(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]?.trim() ?? "";
}

function isPatchType(type: string): type is keyof typeof PATCH_TYPES {
  return Object.hasOwn(PATCH_TYPES, type);
}

function isTrue(text: string | null): boolean {
  return text === "true" || text === "1";
}

function notAllowed(): StatusError {
  return new StatusError("MethodNotAllowed", "this method is not allowed on this resource");
}

function refusal(error: StatusError): Response {
  const { retryAfterSeconds } = error.details ?? {};
  const response = json(error.code, JSON.stringify(error.toStatus()));
  if (retryAfterSeconds !== undefined) {
    response.headers.set("retry-after", String(retryAfterSeconds));
  }
  return response;
}

function json(status: number, text: string): Response {
  return new Response(text, { status, headers: JSON_HEADERS });
}
