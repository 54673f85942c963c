/** STATUS: whether an ADD could be served now: settings, the agent or the API server, free addresses. */

import type { Call } from "./call.ts";
import { ipamOf } from "./ipam/ipam.ts";
import { NodeFacts } from "./node.ts";
import { parseSettings } from "./protocol/configuration.ts";
import { CNI_CODES, CniError, toCniError } from "./protocol/error.ts";

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
    await ipamOf(call).status(call, {
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
