/**
 * GC: frees everything of this network that no valid attachment holds: pairs, what the agent knows of
 * them, addresses. It goes on past what fails, and says so at the end.
 */

import { NETLINK_ROUTE, openNetlinkSocket } from "../lib/netlink/socket.ts";
import { AgentClient } from "./agent_client.ts";
import { aliasOf, attachmentOf, isAliasOfNetwork } from "./attachment.ts";
import type { Call } from "./call.ts";
import { deleteLinkIfThere, listOurLinks } from "./host_link.ts";
import { ipamOf } from "./ipam/ipam.ts";
import {
  parseValidAttachments,
  readAgentSocket,
  type ValidAttachment,
} from "./protocol/configuration.ts";
import { CniError, toCniError } from "./protocol/error.ts";

/**
 * Collects what is stale.
 *
 * @throws {CniError} with everything that could not be freed
 */
export async function collect(call: Call): Promise<void> {
  const valid = parseValidAttachments(call.configuration);
  const failures: CniError[] = [];
  const attempt = async (f: () => Promise<unknown>): Promise<void> => {
    try {
      await f();
    } catch (error) {
      failures.push(toCniError(error));
    }
  };
  await attempt(() => deletePairs(call, valid));
  if (call.configuration.ipamType !== undefined) {
    await attempt(async () => {
      const addresses = await ipamOf(call).collect(call, valid);
      if (addresses > 0) call.log.info("stale addresses freed", { addresses });
    });
  }
  const [first] = failures;
  if (first === undefined) return;
  throw new CniError(first.code, failures.map((it) => it.message).join("; "), { cause: first });
}

async function deletePairs(
  { configuration, log }: Call,
  valid: readonly ValidAttachment[],
): Promise<void> {
  const network = configuration.name;
  const keep = new Set(valid.map((it) => aliasOf({ network, ...it })));
  const path = readAgentSocket(configuration);
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  const stale = listOurLinks(socket).filter(({ alias = "" }) =>
    isAliasOfNetwork(alias, network) && !keep.has(alias)
  );
  for (const { index, name, alias = "" } of stale) {
    deleteLinkIfThere(socket, index);
    log.info("stale interface deleted", { interface: name, alias });
    const id = attachmentOf(alias);
    if (path === undefined || id === undefined) continue;
    await new AgentClient(path).deleteEndpoint(id).catch((error) =>
      log.warn("agent not told of a deletion", { error })
    );
  }
}
