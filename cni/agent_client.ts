/**
 * The agent on this node, over its unix socket: what node this is, and whether a pod's policy is in the
 * kernel. One request a connection, waited for in system calls: the runtime's own client takes
 * milliseconds to start, which every pod would pay. What is asked and answered is in `lib/agent_api/`.
 */

import type { Body } from "../lib/agent_api/body.ts";
import { type AgentEndpoint, encodeEndpoint } from "../lib/agent_api/endpoint.ts";
import { decodeEndpoints, type EndpointState } from "../lib/agent_api/endpoint_list.ts";
import {
  type ApiRequest,
  decodeFailure,
  formatRequest,
  parseAnswer,
  STATUS,
} from "../lib/agent_api/message.ts";
import { type AgentNode, decodeNode, nodeFilePath } from "../lib/agent_api/node.ts";
import type { EndpointId } from "../lib/agent_api/route.ts";
import { decodeStatus } from "../lib/agent_api/status.ts";
import type { Bytes } from "../lib/base/bytes.ts";
import { messageOf } from "../lib/base/error.ts";
import { isRecord } from "../lib/base/json.ts";
import { KernelError } from "../lib/kernel/errno.ts";
import { exchange } from "../lib/kernel/unix_stream.ts";

/** The agent refused a request, failed, or did not answer. */
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

  /** Whether the agent refuses this request for good, so that a retry is useless. */
  get isRefusal(): boolean {
    return this.status !== undefined && this.status >= 400 && this.status < 500;
  }
}

/** Timeout of requests that the agent answers at once (ms). */
const ANSWER_MS_MAX = 5_000;
/** Timeout of reports (ms): an agent that misses one sees the change at its next start. */
const DELETE_MS_MAX = 1_000;
/** Added to the time that the agent itself waits (ms). */
const GRACE_MS = 1_000;
/** Largest answer (bytes); a longer one is not the agent's. */
const ANSWER_BYTES_MAX = 1 << 20;

/** Client of the agent's unix socket; each call blocks until the answer or the timeout. */
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
    return decodeNode(this.#ask({ call: { route: "getNode" } }));
  }

  /** Reads node.json, which the agent wrote in this boot; `undefined` if there is none. */
  rememberedNode(): AgentNode | undefined {
    try {
      const json: unknown = JSON.parse(Deno.readTextFileSync(nodeFilePath(this.#path)));
      return isRecord(json) ? decodeNode(json) : undefined;
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
    return decodeStatus(this.#ask({ call: { route: "getStatus" } })).unreadyReason;
  }

  /**
   * Tells the agent of a pod's interface and waits until its policy is in the kernel.
   *
   * @throws {AgentError} if the agent does not answer, or the policy is not there in time
   */
  putEndpoint(id: EndpointId, endpoint: AgentEndpoint, waitMs: number): void {
    const body = encodeEndpoint(endpoint);
    this.#ask({ call: { route: "putEndpoint", id }, waitMs, body }, waitMs + GRACE_MS);
  }

  /**
   * Has the agent forget a pod's interface; also one that it does not know.
   *
   * @throws {AgentError} if the agent does not answer
   */
  deleteEndpoint(id: EndpointId): void {
    this.#ask({ call: { route: "deleteEndpoint", id } }, DELETE_MS_MAX);
  }

  /**
   * Whether the policy of a pod's interface is in the kernel; `undefined` if it is not known.
   *
   * @throws {AgentError} if the agent does not answer
   */
  isEnforced(id: EndpointId): boolean | undefined {
    return this.#endpoint(id)?.isEnforced;
  }

  /**
   * Whose a pod's interface is, as `namespace/name`; `undefined` if it is not known.
   *
   * @throws {AgentError} if the agent does not answer
   */
  podOf(id: EndpointId): string | undefined {
    const { namespace = "", pod = "" } = this.#endpoint(id) ?? {};
    return namespace === "" || pod === "" ? undefined : `${namespace}/${pod}`;
  }

  #endpoint({ containerId, ifname }: EndpointId): EndpointState | undefined {
    return decodeEndpoints(this.#ask({ call: { route: "getEndpoints" } }))
      .find((it) => it.containerId === containerId && it.ifname === ifname);
  }

  #ask(request: ApiRequest, timeoutMs = ANSWER_MS_MAX): Body {
    const answer = parseAnswer(this.#exchange(formatRequest(request), timeoutMs));
    if (answer === undefined) {
      throw new AgentError("calyx-agent broke off in the middle of its answer", {});
    }
    const { status, body } = answer;
    if (body === undefined) {
      throw new AgentError("calyx-agent answered with something else than a JSON object", {
        status,
      });
    }
    if (status === STATUS.ok) return body;
    throw new AgentError(`calyx-agent refused (${status}): ${decodeFailure(body)}`, { status });
  }

  #exchange(request: Bytes, timeoutMs: number): Bytes {
    const bounds = { timeoutMs, answerBytesMax: ANSWER_BYTES_MAX };
    try {
      return exchange(this.#path, request, bounds);
    } catch (error) {
      throw new AgentError(this.#explain(error, timeoutMs), { cause: error });
    }
  }

  #explain(error: unknown, timeoutMs: number): string {
    const reason = messageOf(error);
    if (!(error instanceof KernelError)) return `Cannot ask calyx-agent: ${reason}`;
    if (error.code === "ETIMEDOUT") return `calyx-agent did not answer within ${timeoutMs} ms`;
    if (!error.operation.startsWith("connect")) return `calyx-agent broke off: ${reason}`;
    return `calyx-agent does not answer on ${this.#path} (${error.code}): is it running on this node?`;
  }
}
