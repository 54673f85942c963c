/** STATUS: whether an ADD could be served now: settings, the agent or the API server, free addresses. */

import { AgentClient } from "./agent_client.ts";
import type { Call } from "./call.ts";
import { chooseIpam } from "./ipam/choose_ipam.ts";
import { NodeFacts } from "./node.ts";
import { parseSettings, type PluginSettings } from "./protocol/configuration.ts";
import { CNI_CODES, CniError, toCniError } from "./protocol/error.ts";

/** @throws {CniError | AgentError} if the agent cannot put policy in force, so that ADD would fail */
function requireReady(settings: PluginSettings): void {
  const { agentSocket, startsClosed } = settings;
  if (agentSocket === undefined || startsClosed) return;
  const reason = new AgentClient(agentSocket).unreadyReason();
  if (reason === undefined) return;
  throw new CniError("tryAgainLater", `calyx-agent is not ready: ${reason}`);
}

/**
 * Looks whether an ADD could be served.
 *
 * @throws {CniError} code 50 with the reason why not; 51 where a delegate says so
 */
export async function status(call: Call): Promise<void> {
  const settings = parseSettings(call.configuration);
  const node = new NodeFacts(settings);
  try {
    node.requireAgent();
    requireReady(settings);
    await chooseIpam(call).status(call, {
      requested: undefined,
      podCidrs: () => node.podCidrs(),
    });
  } catch (error) {
    const { code, message, details } = toCniError(error);
    if (code === CNI_CODES.unavailable || code === CNI_CODES.unavailableDegraded) throw error;
    const more = details === undefined ? {} : { details };
    throw new CniError("unavailable", message, { ...more, cause: error });
  }
}
