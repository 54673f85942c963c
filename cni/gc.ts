/**
 * GC: frees everything of this network that no valid attachment holds: pairs, what the agent knows of
 * them, addresses; and pairs that a kill left before they were marked as anybody's. It goes on past
 * what fails, and says so at the end.
 */

import { sleep } from "../lib/base/async.ts";
import {
  aliasOf,
  attachmentOf,
  attachmentPartOf,
  isAliasOfNetwork,
} from "../lib/model/link_alias.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import { NETLINK_ROUTE, type NetlinkSocket, openNetlinkSocket } from "../lib/netlink/socket.ts";
import { AgentClient, AgentError } from "./agent_client.ts";
import type { Call } from "./call.ts";
import { deleteLinkIfThere, listHalfMadeLinks, listOurLinks, MARKING_MS_MAX } from "./host_link.ts";
import { chooseIpam } from "./ipam/choose_ipam.ts";
import {
  parseValidAttachments,
  readAgentSocket,
  type ValidAttachment,
} from "./protocol/configuration.ts";
import { CniError, toCniError } from "./protocol/error.ts";

/** Runs a step, and adds its failure to the list. */
type Attempt = (f: () => Promise<void> | void) => Promise<void>;

/**
 * Collects what is stale.
 *
 * @throws {CniError} with everything that could not be freed
 */
export async function collect(call: Call): Promise<void> {
  const valid = parseValidAttachments(call.configuration);
  const failures: CniError[] = [];
  const attempt: Attempt = async (f) => {
    try {
      await f();
    } catch (error) {
      failures.push(toCniError(error));
    }
  };
  await attempt(() => tellAgent(call, valid));
  await attempt(() => deletePairs(call, valid, attempt));
  await attempt(() => deleteHalfMade(call));
  if (call.configuration.ipamType !== undefined) {
    await attempt(() => chooseIpam(call).collect(call, valid));
  }
  const [first] = failures;
  if (first === undefined) return;
  if (failures.length === 1) throw first;
  throw new CniError(first.code, failures.map((it) => it.message).join("; "), { cause: first });
}

/**
 * Has the agent forget what is stale: whatever has a pair or an address still, and therefore before
 * either goes.
 */
function tellAgent(call: Call, valid: readonly ValidAttachment[]): void {
  const { configuration, log } = call;
  const path = readAgentSocket(configuration);
  if (path === undefined) return;
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  const holders = configuration.ipamType === undefined
    ? []
    : chooseIpam(call).listStale(call, valid);
  const ids = [...listStalePairs(socket, call, valid).map(({ id }) => id), ...holders];
  const stale = new Map(ids.flatMap((it) => it ? [[`${it.containerId}/${it.ifname}`, it]] : []));
  for (const id of stale.values()) {
    try {
      new AgentClient(path).deleteEndpoint(id);
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      return log.warn("deletions not reported to the agent", { error });
    }
  }
}

async function deletePairs(
  call: Call,
  valid: readonly ValidAttachment[],
  attempt: Attempt,
): Promise<void> {
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  for (const { link: { index, name, alias } } of listStalePairs(socket, call, valid)) {
    await attempt(() => {
      deleteLinkIfThere(socket, index);
      call.log.info("stale interface deleted", { interface: name, alias });
    });
  }
}

/** The links of this network that no valid attachment has, each with its attachment if its alias names one. */
function listStalePairs(
  socket: NetlinkSocket,
  { configuration: { name: network } }: Call,
  valid: readonly ValidAttachment[],
): readonly { readonly link: Link; readonly id: ValidAttachment | undefined }[] {
  const keep = new Set(valid.map((it) => aliasOf({ network, ...it })));
  return listOurLinks(socket)
    .filter(({ alias = "" }) =>
      isAliasOfNetwork(alias, network) && !keep.has(attachmentPartOf(alias))
    )
    .map((link) => ({ link, id: attachmentOf(link.alias ?? "") }));
}

/** Deletes pairs without an alias that are older than any running ADD leaves them. */
async function deleteHalfMade({ log }: Call): Promise<void> {
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  const seen = new Set(listHalfMadeLinks(socket).map((it) => it.index));
  if (seen.size === 0) return;
  await sleep(MARKING_MS_MAX);
  for (const { index, name } of listHalfMadeLinks(socket).filter((it) => seen.has(it.index))) {
    deleteLinkIfThere(socket, index);
    log.info("interface of an unfinished ADD deleted", { interface: name });
  }
}
