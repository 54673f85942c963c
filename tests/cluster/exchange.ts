/**
 * Exchanges with an API server: what is asked and, as lines of text, what every server must answer.
 * The same table runs against the small server of the tests and against the real one.
 */

/** One API server under test. */
export interface Served {
  readonly url: string;
  readonly token: string;
  /** Like the global fetch, with whatever TLS needs. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Makes versions before now too old for pages. */
  expirePages(): Promise<void>;
  /** Makes versions before now too old for watches. */
  expireWatches(): Promise<void>;
}

/** One entry of the table. */
export interface Exchange {
  readonly name: string;
  /** Whether it is about the custom kind. */
  readonly isCustom?: boolean;
  /** What a server must do with streamed lists for it: have them, or refuse them before 1.27. @default {either} */
  readonly streams?: "had" | "refused";
  /** Asks; what it returns must equal `expected`. */
  run(api: Api): Promise<readonly string[]>;
  readonly expected: readonly string[];
}

/** JSON of any shape, as tests read it. */
export interface Json {
  readonly [key: string]: unknown;
}

/** How one call differs from the ordinary. */
export interface CallOptions {
  /** Content type of the body. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Fields of the answer to show: `spec.policyTypes`. */
  readonly show?: readonly string[];
}

/** An answer, and the essence of it as one line. */
export interface Answer {
  readonly status: number;
  readonly body: Json;
  readonly line: string;
  /** Value at a dotted path of the body, as text; "" for none. */
  at(path: string): string;
}

/** Asks one server, in a namespace of its own. */
export class Api {
  readonly namespace: string;
  readonly served: Served;

  constructor(served: Served, namespace: string) {
    this.served = served;
    this.namespace = namespace;
  }

  /** Path of pods in the namespace, of one of them, or of something in it. */
  pods(rest = ""): string {
    return `/api/v1/namespaces/${this.namespace}/pods${rest}`;
  }

  /** Path of network policies in the namespace, or of one of them. */
  policies(rest = ""): string {
    return `/apis/networking.k8s.io/v1/namespaces/${this.namespace}/networkpolicies${rest}`;
  }

  /** Path of the custom kind in the namespace, or of one object. */
  widgets(rest = ""): string {
    return `/apis/test.calyx.example/v1/namespaces/${this.namespace}/widgets${rest}`;
  }

  /**
   * Waits until the server's cache, which answers what asks for any version, knows of a write.
   * Only a write of the kind itself will do: of others the cache does not hear.
   */
  async settle(path: string, write: Answer): Promise<void> {
    const version = write.at("metadata.resourceVersion");
    await this.call("GET", `${path}?resourceVersion=${version}`);
  }

  /** Sends a request; a body that is no text goes as JSON. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    options: CallOptions = {},
  ): Promise<Answer> {
    const response = await this.#fetch(method, path, body, options);
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
    const json: Json = isJson ? JSON.parse(text) : {};
    const shown = (options.show ?? []).map((it) => ` ${it}=${formatValue(valueAt(json, it))}`);
    return {
      status: response.status,
      body: json,
      line: `${response.status} ${isJson ? essence(json) : "text"}${shown.join("")}`,
      at: (it) => String(valueAt(json, it) ?? ""),
    };
  }

  /** Opens a watch. */
  async watch(path: string, query: Readonly<Record<string, string>>): Promise<OpenWatch> {
    const stop = new AbortController();
    const search = new URLSearchParams({ watch: "true", ...query });
    const response = await this.#fetch("GET", `${path}?${search}`, undefined, {}, stop.signal);
    return new OpenWatch(response, stop);
  }

  async #fetch(
    method: string,
    path: string,
    body: unknown,
    { type = "application/json", headers = {} }: CallOptions,
    signal?: AbortSignal,
  ): Promise<Response> {
    const { url, token } = this.served;
    const hasBody = body !== undefined;
    return await this.served.fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(hasBody ? { "content-type": type } : {}),
        ...headers,
      },
      ...(hasBody ? { body: typeof body === "string" ? body : JSON.stringify(body) } : {}),
      ...(signal === undefined ? {} : { signal }),
    });
  }
}

/** One event of a watch. */
export interface WatchEvent {
  readonly type: string;
  readonly object: Json;
  /** `ADDED a`, `ERROR 410 Expired`. */
  readonly line: string;
  readonly version: number;
  at(path: string): string;
}

/** A watch that is being read. */
export class OpenWatch implements AsyncDisposable {
  readonly status: number;
  readonly #stop: AbortController;
  readonly #lines: AsyncGenerator<string>;

  constructor(response: Response, stop: AbortController) {
    this.status = response.status;
    this.#stop = stop;
    this.#lines = linesOf(response);
  }

  /** The next event; `undefined` at the end of the stream. */
  async next(): Promise<WatchEvent | undefined> {
    const { value, done } = await this.#lines.next();
    if (done === true) return undefined;
    const { type, object } = JSON.parse(value);
    const what = type === "ERROR"
      ? `${object.code} ${object.reason}`
      : type === "BOOKMARK"
      ? object.kind
      : object.metadata.name;
    return {
      type,
      object,
      line: `${type} ${what}`,
      version: Number(object.metadata?.resourceVersion ?? 0),
      at: (it) => String(valueAt(object, it) ?? ""),
    };
  }

  /** The lines of the next `count` events; "end" where the stream ends before. */
  async take(count: number): Promise<string[]> {
    const lines: string[] = [];
    for (let i = 0; i < count; i++) lines.push((await this.next())?.line ?? "end");
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // The abort rejects the pending read; its error has no reader any more.
    await this.#lines.next().catch(() => {});
  }
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  let rest = "";
  for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** `Pod a`, `PodList a,b …`, `NotFound`, `Invalid spec.x:FieldValueInvalid`. */
function essence(json: Json): string {
  const { kind, metadata, items, status, reason } = json as {
    kind?: string;
    metadata?: { name?: string; continue?: string; remainingItemCount?: number };
    items?: { metadata: { name: string } }[];
    status?: unknown;
    reason?: string;
  };
  if (kind === "Status" && status === "Success") return "Success";
  if (kind === "Status") {
    const causes = (valueAt(json, "details.causes") ?? []) as { field: string; reason: string }[];
    const fields = new Set(causes.map((it) => ` ${it.field}:${it.reason}`));
    return `${reason}${[...fields].join("")}`;
  }
  if (items === undefined) return `${kind} ${metadata?.name}`;
  // Lists of custom resources of current servers say that nothing follows with "".
  const more = metadata === undefined || (metadata.continue ?? "") === ""
    ? ""
    : metadata.remainingItemCount === undefined
    ? " and more"
    : ` and ${metadata.remainingItemCount} more`;
  return `${kind} ${items.map((it) => it.metadata.name).join(",")}${more}`;
}

/** Value at a dotted path, numbers being places in lists, and `~` a dot in a name. */
function valueAt(value: unknown, path: string): unknown {
  let found = value;
  for (const name of path.split(".")) {
    found = (found as Json | undefined)?.[name.replaceAll("~", ".")];
  }
  return found;
}

/** JSON with sorted keys. */
function formatValue(value: unknown): string {
  const sort = (_key: string, it: unknown): unknown =>
    typeof it === "object" && it !== null && !Array.isArray(it)
      ? Object.fromEntries(Object.entries(it).sort(([a], [b]) => a < b ? -1 : 1))
      : it;
  return String(JSON.stringify(value, sort));
}

/** A pod that every server takes. */
export function pod(name: string, more: { labels?: Json; spec?: Json; status?: Json } = {}): Json {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, ...(more.labels === undefined ? {} : { labels: more.labels }) },
    spec: { containers: [{ name: "c", image: "image:1" }], ...more.spec },
    ...(more.status === undefined ? {} : { status: more.status }),
  };
}

/** A network policy. */
export function policy(name: string, spec: Json = { podSelector: {} }): Json {
  return { apiVersion: "networking.k8s.io/v1", kind: "NetworkPolicy", metadata: { name }, spec };
}

/** An object of the custom kind. */
export function widget(name: string, more: Json = {}): Json {
  return { apiVersion: "test.calyx.example/v1", kind: "Widget", metadata: { name }, ...more };
}
