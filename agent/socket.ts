/**
 * What the agent answers on its unix socket: to the plugin, which holds no credential of its own, and
 * to calyxctl on the node. HTTP/1.1, JSON; only root may connect. Routes and bodies, and what older and
 * newer programs may rely on, are in `lib/agent_api/`.
 */

import { decodeEndpoint } from "../lib/agent_api/endpoint.ts";
import { encodeEndpoints } from "../lib/agent_api/endpoint_list.ts";
import { encodeFailure, parseWaitMs, STATUS, WAIT_HEADER } from "../lib/agent_api/message.ts";
import { encodeNode } from "../lib/agent_api/node.ts";
import { type EndpointId, parseCall } from "../lib/agent_api/route.ts";
import { encodeStatus } from "../lib/agent_api/status.ts";
import type { Logger } from "../lib/base/log.ts";
import { type Attachment, podKeyOf } from "../lib/model/facts.ts";
import type { AgentState } from "./agent_state.ts";
import { attachmentKey, type AttachmentStore } from "./attachments.ts";
import type { EnforcementLoop } from "./loop.ts";
import { HttpServer } from "./http_server.ts";
import type { NodeRecord } from "./node_record.ts";

/** What the socket answers from. */
export interface AgentSocketOptions {
  readonly path: string;
  readonly nodeRecord: Pick<NodeRecord, "current" | "missing">;
  /** What the host's interfaces of pods begin with: others are no pods' and let everything pass. */
  readonly interfacePrefix: string;
  readonly attachments: AttachmentStore;
  /** Tells the graph; `undefined` = gone. */
  readonly onAttachment: (key: string, attachment: Attachment | undefined) => void;
  readonly loop: Pick<EnforcementLoop, "enforced" | "enforcedEpoch" | "kick" | "nextApply">;
  /** Whether the stand-in is enforced in place of the API server's policies. */
  readonly isStandIn: () => boolean;
  readonly state: Pick<AgentState, "unreadyReason" | "status">;
  readonly logger: Logger;
}

/** A request's body; what the plugin sends is a few hundred bytes. */
const BODY_BYTES_MAX = 16 << 10;
/** More than a node has pods, each of which may wait for its policy. */
const CONNECTIONS_MAX = 1_024;

/**
 * Listens on the socket; a stale one of a killed agent is replaced.
 *
 * @throws {Deno.errors.AddrInUse} if another agent answers on it
 */
export async function serveAgentSocket(options: AgentSocketOptions): Promise<HttpServer> {
  const { path, logger } = options;
  await prepareSocketPath(path);
  const listener = Deno.listen({ transport: "unix", path });
  await Deno.chmod(path, 0o600);
  return new HttpServer({
    name: path,
    listener,
    answer: (request) => answer(options, request),
    logger,
    connectionsMax: CONNECTIONS_MAX,
    bodyBytesMax: BODY_BYTES_MAX,
  });
}

/** The folder is root's alone before the socket appears in it, so no other user connects in between. */
async function prepareSocketPath(path: string): Promise<void> {
  const folder = path.slice(0, path.lastIndexOf("/")) || "/";
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch {
    await Deno.remove(path).catch(() => {});
    return;
  }
  throw new Deno.errors.AddrInUse(`Another agent answers on ${path}: stop it first`);
}

async function answer(options: AgentSocketOptions, request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const call = parseCall(request.method, pathname);
  switch (call?.route) {
    case "getNode":
      return getNode(options);
    case "putEndpoint":
      return await putEndpoint(options, request, call.id);
    case "deleteEndpoint":
      return deleteEndpoint(options, call.id);
    case "getEndpoints":
      return getEndpoints(options);
    case "getStatus":
      return Response.json(encodeStatus(options.state.status));
    case undefined:
      return failure(STATUS.noRoute, `There is no ${request.method} ${pathname}`);
  }
}

function getNode({ nodeRecord }: AgentSocketOptions): Response {
  const node = nodeRecord.current;
  if (node === undefined) return failure(STATUS.unknownNode, nodeRecord.missing);
  return Response.json(encodeNode(node));
}

function getEndpoints({ attachments, loop }: AgentSocketOptions): Response {
  return Response.json(
    encodeEndpoints(attachments.all.values(), (it) => isEnforced(loop, it)),
  );
}

async function putEndpoint(
  options: AgentSocketOptions,
  request: Request,
  id: EndpointId,
): Promise<Response> {
  const { attachments, interfacePrefix, onAttachment, loop, logger } = options;
  const key = attachmentKey(id.containerId, id.ifname);
  let attachment: Attachment;
  try {
    attachment = decodeEndpoint(id, await readJson(request));
    requirePrefix(attachment, interfacePrefix);
    for (const superseded of attachments.supersededBy(attachment)) {
      const before = attachments.all.get(superseded);
      if (before !== undefined && podKeyOf(before) !== podKeyOf(attachment)) {
        logger.warn("attachment of another pod superseded", {
          pod: podKeyOf(attachment),
          interface: attachment.interfaceName,
          superseded: podKeyOf(before),
        });
      }
      attachments.delete(superseded);
      onAttachment(superseded, undefined);
    }
    attachments.put(attachment);
    onAttachment(key, attachment);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof RangeError) {
      return failure(STATUS.badRequest, error.message);
    }
    throw error;
  }
  const epoch = loop.kick();
  const waitMs = parseWaitMs(request.headers.get(WAIT_HEADER));
  const signal = AbortSignal.any([request.signal, AbortSignal.timeout(waitMs)]);
  const isDone = (): boolean =>
    loop.enforcedEpoch >= epoch && !options.isStandIn() && isEnforced(loop, attachment);
  while (!isDone()) {
    if (attachments.all.get(key) !== attachment) {
      return failure(
        STATUS.detached,
        `Pod ${podKeyOf(attachment)} was detached while its policy was awaited`,
      );
    }
    if (signal.aborted) {
      const pod = podKeyOf(attachment);
      const reason = options.state.unreadyReason;
      logger.warn("policy not in force in time", { pod, waitMs, reason });
      const why = reason === undefined ? "" : `: ${reason}`;
      return failure(STATUS.late, `Policy of pod ${pod} is not in force after ${waitMs} ms${why}`);
    }
    await loop.nextApply(signal);
  }
  return Response.json({ enforced: true });
}

function deleteEndpoint(
  { attachments, onAttachment, loop }: AgentSocketOptions,
  { containerId, ifname }: EndpointId,
): Response {
  const key = attachmentKey(containerId, ifname);
  if (attachments.all.has(key)) {
    onAttachment(key, undefined);
    loop.kick();
    attachments.delete(key);
  }
  return Response.json({});
}

/** Enforced: the kernel has this very attachment, interface, pod and addresses. */
export function isEnforced(
  { enforced }: Pick<EnforcementLoop, "enforced">,
  attachment: Attachment,
): boolean {
  const endpoint = enforced?.endpoints.get(attachment.interfaceName);
  return endpoint !== undefined && endpoint.workload === podKeyOf(attachment) &&
    (attachment.uid === undefined || attachment.uid === endpoint.uid) &&
    attachment.addresses.every((it) =>
      endpoint.addresses.some((address) => address.toString() === it.toString())
    );
}

/** @throws {RangeError} if nothing would be closed on this interface while its pod is not known */
function requirePrefix({ interfaceName }: Attachment, prefix: string): void {
  if (interfaceName.startsWith(prefix)) return;
  throw new RangeError(
    `Interface ${interfaceName} does not begin with "${prefix}", the agent's --interface-prefix: ` +
      `set "interface_prefix" in the plugin's configuration`,
  );
}

/** @throws {SyntaxError | RangeError} if the body is no JSON, or too large */
async function readJson(request: Request): Promise<unknown> {
  // The length is what the server reads; a body that does not say its own is not read at all.
  const length = request.headers.get("content-length") ?? "";
  if (!/^\d{1,9}$/.test(length)) throw new RangeError("A body must say its content-length");
  if (Number(length) > BODY_BYTES_MAX) {
    throw new RangeError(`Body is larger than ${BODY_BYTES_MAX} bytes`);
  }
  return JSON.parse(await request.text());
}

function failure(status: number, error: string): Response {
  return Response.json(encodeFailure(error), { status });
}
