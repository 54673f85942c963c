/** Asks the agent on its unix socket, as the plugin does; what is asked is in lib/agent_api. */

import type { Body } from "../../../lib/agent_api/body.ts";
import { decodeEndpoints, type EndpointState } from "../../../lib/agent_api/endpoint_list.ts";
import { type ApiRequest, formatRequest, parseAnswer } from "../../../lib/agent_api/message.ts";
import { type AgentStatus, decodeStatus } from "../../../lib/agent_api/status.ts";
import { concatBytes } from "../../../lib/base/bytes.ts";

/** The agent's socket, unless a test says otherwise. */
export const AGENT_SOCKET = "/run/calyx/agent.sock";

/** An answer of the agent's; its body is a JSON object. */
export interface AgentAnswer {
  readonly status: number;
  readonly body: Body;
}

/**
 * Sends a request and reads the answer.
 *
 * @throws {Error} if nothing answers on the socket, or with something else than a JSON object
 */
export async function askAgent(
  request: ApiRequest,
  socket = AGENT_SOCKET,
): Promise<AgentAnswer> {
  using connection = await Deno.connect({ transport: "unix", path: socket });
  const bytes = formatRequest(request);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  const chunks: Uint8Array[] = [];
  for await (const chunk of connection.readable) chunks.push(chunk);
  const { status, body } = parseAnswer(concatBytes(chunks)) ?? {};
  if (status === undefined || body === undefined) {
    throw new Error(`The agent answered with something else than a JSON object: ${status}`);
  }
  return { status, body };
}

/** How the agent is. */
export async function agentStatus(socket = AGENT_SOCKET): Promise<AgentStatus> {
  return decodeStatus((await askAgent({ call: { route: "getStatus" } }, socket)).body);
}

/** The pods' interfaces that the agent knows. */
export async function agentEndpoints(socket = AGENT_SOCKET): Promise<readonly EndpointState[]> {
  return decodeEndpoints((await askAgent({ call: { route: "getEndpoints" } }, socket)).body);
}

/** Whether the agent says that policy is in force. */
export async function isAgentReady(socket = AGENT_SOCKET): Promise<boolean> {
  return (await agentStatus(socket)).unreadyReason === undefined;
}
