/**
 * The agent on this node, over its unix socket: what node this is, and whether a pod's policy is in the
 * kernel. One request a connection, written by hand and waited for in system calls: the runtime's own
 * client takes milliseconds to start, which every pod would pay. HTTP/1.0, so that an answer ends with
 * its connection.
 */

import type { Bytes } from "../lib/base/bytes.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import { KernelError } from "../lib/kernel/errno.ts";
import { exchange } from "../lib/kernel/unix_stream.ts";
import { Fields, isJsonObject, type JsonObject } from "./protocol/fields.ts";

/** The agent did not do what it was asked. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  /** HTTP status; `undefined` where no answer came. */
  readonly status: number | undefined;

  constructor(message: string, options: { readonly status?: number; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = options.status;
  }

  /** Whether the agent never saw the request. */
  get isUnreached(): boolean {
    return this.cause instanceof KernelError && this.cause.operation.startsWith("connect");
  }

  /** Whether the agent understood, and will say the same the next time. */
  get isRefusal(): boolean {
    return this.status !== undefined && this.status >= 400 && this.status < 500;
  }
}

/** What the agent knows of the node. */
export interface AgentNode {
  readonly nodeName: string;
  readonly podCidrs: readonly Prefix[];
  readonly mtu: number | undefined;
}

/** Which interface of which container. */
export interface EndpointId {
  readonly containerId: string;
  readonly ifname: string;
}

/** A pod's interface, as the agent has to know it to find its policy. */
export interface AgentEndpoint {
  readonly namespace: string;
  readonly pod: string;
  readonly uid?: string;
  readonly interface: string;
  readonly addresses: readonly string[];
  readonly netns: string;
}

/** What answers that need no waiting may take. */
const ANSWER_MS_MAX = 5_000;
/** The same where nothing depends on the answer: an agent that is told nothing finds out by itself. */
const DELETE_MS_MAX = 1_000;
/** Beyond the wait that the agent itself keeps. */
const GRACE_MS = 1_000;
/** An answer's size; a longer one is no agent's. */
const ANSWER_BYTES_MAX = 1 << 20;

/** Asks the agent that listens on a unix socket. */
export class AgentClient {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * What node this is.
   *
   * @throws {AgentError} if the agent does not answer, or does not know yet
   */
  node(): AgentNode {
    return parseNode(this.#call("GET", "/v1/node", ANSWER_MS_MAX));
  }

  /** What the agent wrote down of the node in this boot; `undefined` if it did not come to that. */
  rememberedNode(): AgentNode | undefined {
    try {
      const path = `${this.#path.slice(0, this.#path.lastIndexOf("/"))}/node.json`;
      const json: unknown = JSON.parse(Deno.readTextFileSync(path));
      return isJsonObject(json) ? parseNode(json) : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Why policy is not in force on this node, in the agent's words; `undefined` when it is.
   *
   * @throws {AgentError} if the agent does not answer
   */
  unreadyReason(): string | undefined {
    const { ready } = this.#call("GET", "/v1/status", ANSWER_MS_MAX);
    return typeof ready === "string" ? ready : undefined;
  }

  /**
   * Tells the agent of a pod's interface and waits until its policy is in the kernel.
   *
   * @throws {AgentError} if the agent does not answer, or the policy is not there in time
   */
  putEndpoint(id: EndpointId, endpoint: AgentEndpoint, timeoutMs: number): void {
    this.#call("PUT", endpointPath(id), timeoutMs + GRACE_MS, {
      headers: { "x-timeout-ms": String(timeoutMs) },
      body: JSON.stringify(endpoint),
    });
  }

  /**
   * Has the agent forget a pod's interface; also one that it does not know.
   *
   * @throws {AgentError} if the agent does not answer
   */
  deleteEndpoint(id: EndpointId): void {
    this.#call("DELETE", endpointPath(id), DELETE_MS_MAX);
  }

  /**
   * Whether the policy of a pod's interface is in the kernel; `undefined` if it is not known.
   *
   * @throws {AgentError} if the agent does not answer
   */
  isEnforced(id: EndpointId): boolean | undefined {
    return this.#endpoint(id)?.boolean("enforced");
  }

  /**
   * Whose a pod's interface is, as `namespace/name`; `undefined` if it is not known.
   *
   * @throws {AgentError} if the agent does not answer
   */
  podOf(id: EndpointId): string | undefined {
    const endpoint = this.#endpoint(id);
    const [namespace, pod] = [endpoint?.text("namespace"), endpoint?.text("pod")];
    return namespace === undefined || pod === undefined ? undefined : `${namespace}/${pod}`;
  }

  #endpoint({ containerId, ifname }: EndpointId): Fields | undefined {
    const fields = new Fields(this.#call("GET", "/v1/endpoints", ANSWER_MS_MAX));
    return fields.objects("endpoints")
      ?.find((it) => it.text("containerID") === containerId && it.text("ifname") === ifname);
  }

  #call(
    method: string,
    path: string,
    timeoutMs: number,
    { headers = {}, body = "" }: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    } = {},
  ): JsonObject {
    const text = this.#exchange(formatRequest(method, path, headers, body), timeoutMs);
    const { status, json } = parseAnswer(text);
    if (status === 200) return json;
    const reason = typeof json.error === "string" ? json.error : "no reason given";
    throw new AgentError(`calyx-agent refused (${status}): ${reason}`, { status });
  }

  #exchange(request: Bytes, timeoutMs: number): string {
    const bounds = { timeoutMs, answerBytesMax: ANSWER_BYTES_MAX };
    try {
      return new TextDecoder().decode(exchange(this.#path, request, bounds));
    } catch (error) {
      throw new AgentError(this.#explain(error, timeoutMs), { cause: error });
    }
  }

  #explain(error: unknown, timeoutMs: number): string {
    const reason = error instanceof Error ? error.message : String(error);
    if (!(error instanceof KernelError)) return `Cannot ask calyx-agent: ${reason}`;
    if (error.code === "ETIMEDOUT") return `calyx-agent did not answer within ${timeoutMs} ms`;
    if (!error.operation.startsWith("connect")) return `calyx-agent broke off: ${reason}`;
    return `calyx-agent does not answer on ${this.#path} (${error.code}): is it running on this node?`;
  }
}

function parseNode(json: JsonObject): AgentNode {
  const fields = new Fields(json);
  const podCidrs = (fields.texts("podCIDRs") ?? []).map(Prefix.tryParse);
  const mtu = fields.integer("mtu");
  return {
    nodeName: fields.text("nodeName") ?? "",
    podCidrs: podCidrs.filter((it) => it !== undefined),
    mtu: mtu === 0 ? undefined : mtu,
  };
}

function endpointPath(id: EndpointId): string {
  return `/v1/endpoints/${encodeURIComponent(id.containerId)}/${encodeURIComponent(id.ifname)}`;
}

function formatRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Bytes {
  const encoder = new TextEncoder();
  const bytes = encoder.encode(body);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const content = bytes.length === 0
    ? ""
    : `content-type: application/json\r\ncontent-length: ${bytes.length}\r\n`;
  const head = encoder.encode(
    `${method} ${path} HTTP/1.0\r\nhost: calyx-agent\r\n${lines}${content}\r\n`,
  );
  const request = new Uint8Array(head.length + bytes.length);
  request.set(head);
  request.set(bytes, head.length);
  return request;
}

/** @throws {AgentError} if it is no HTTP answer with a JSON object */
function parseAnswer(text: string): { readonly status: number; readonly json: JsonObject } {
  const end = text.indexOf("\r\n\r\n");
  const match = /^HTTP\/1\.[01] (\d{3})/.exec(text);
  if (end < 0 || match === null) {
    throw new AgentError("calyx-agent broke off in the middle of its answer", {});
  }
  try {
    const json: unknown = JSON.parse(text.slice(end + 4));
    if (isJsonObject(json)) return { status: Number(match[1]), json };
  } catch {
    // Said below.
  }
  throw new AgentError("calyx-agent answered with something else than a JSON object", {
    status: Number(match[1]),
  });
}
