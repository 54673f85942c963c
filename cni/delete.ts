/**
 * DEL: takes away what ADD made, as often as it is asked, with local state only: neither the agent nor
 * the API server nor the pod's namespace has to be there, and the configuration may have changed.
 */

import { isNamespace, openNamespace, withNamespace } from "../lib/kernel/namespace.ts";
import { aliasOf } from "../lib/model/link_alias.ts";
import { dumpLinks, parseLink } from "../lib/netlink/link/link.ts";
import { NETLINK_ROUTE, type NetlinkSocket, openNetlinkSocket } from "../lib/netlink/socket.ts";
import { AgentClient, AgentError } from "./agent_client.ts";
import type { Call } from "./call.ts";
import {
  deleteAttachmentLink,
  deleteLinkIfThere,
  findLink,
  hostNamesOf,
  isHalfMade,
} from "./host_link.ts";
import { chooseIpam } from "./ipam/choose_ipam.ts";
import { readAgentSocket } from "./protocol/configuration.ts";
import { type CallEnvironment, parseArguments, type PodName } from "./protocol/environment.ts";
import { toCniError } from "./protocol/error.ts";
import { refuseOwnNamespace } from "./sandbox.ts";

/**
 * Disconnects the container. A later DEL or GC finds an unfinished one by its veth pair; so the plugin
 * first tells the agent (without a policy the pod is closed), then deletes the pair. It frees the
 * addresses last, so that no other pod gets them while the old pair exists.
 *
 * @throws {CniError} if it could not delete or free something
 */
export async function del(call: Call): Promise<void> {
  const { environment, configuration } = call;
  refuseOwnNamespace(environment);
  forget(call);
  deletePair(call);
  if (configuration.ipamType !== undefined) await chooseIpam(call).release(call);
}

function deletePair(call: Call): void {
  const { environment, configuration, log } = call;
  const { containerId, ifname } = environment;
  const id = { network: configuration.name, containerId, ifname };
  try {
    using socket = openNetlinkSocket(NETLINK_ROUTE);
    const [likelyName] = hostNamesOf(podOf(call), id);
    const found = deleteAttachmentLink(socket, aliasOf(id), likelyName) ||
      deleteHalfMade(socket, environment);
    log.debug("pair deleted", () => ({ found }));
  } catch (error) {
    throw toCniError(error, "networkFailed");
  }
}

/** The pair of an ADD that was killed before it could mark it: found by its end in the pod. */
function deleteHalfMade(socket: NetlinkSocket, { netns, ifname }: CallEnvironment): boolean {
  if (netns === "" || !isNamespace(netns)) return false;
  using namespace = openNamespace(netns);
  using pod = withNamespace(namespace, () => openNetlinkSocket(NETLINK_ROUTE));
  const index = findLink(pod, ifname)?.peerIndex;
  if (index === undefined) return false;
  const link = socket.dump(dumpLinks()).map(parseLink).find((it) => it.index === index);
  return link !== undefined && isHalfMade(link) && deleteLinkIfThere(socket, index);
}

/** The pod's name is only a hint for the first look-up. */
function podOf({ environment }: Call): PodName | undefined {
  try {
    return parseArguments(environment.args).pod;
  } catch {
    return undefined;
  }
}

/** Tells the agent; an agent that is down sees it at its next start. */
function forget({ environment, configuration, log }: Call): void {
  const path = readAgentSocket(configuration);
  if (path === undefined) return;
  try {
    new AgentClient(path).deleteEndpoint(environment);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.warn("deletion not reported to the agent", { error });
  }
}
