/**
 * CHECK: whether what ADD made is still there, by the kernel and not by any file of ours: both ends of
 * the pair, the pod's addresses and routes, the node's routes and neighbours, the reservation, and the
 * agent's word that the pod's policy is in force. What later plugins of a chain changed is theirs, and
 * `prevResult`, which is the result of the last of them, says so. An agent that does not answer proves
 * nothing against the pod: its rules stay in the kernel without it.
 */

import type { Address } from "../lib/ip/address.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import { aliasOf, isSameAttachment } from "../lib/model/link_alias.ts";
import { dumpAddresses, parseAddress } from "../lib/netlink/address/address.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import { dumpNeighbours, parseNeighbour } from "../lib/netlink/neighbour/neighbour.ts";
import { dumpRoutes, parseRoute, type Route } from "../lib/netlink/route/route.ts";
import { AgentClient, AgentError } from "./agent_client.ts";
import type { Call } from "./call.ts";
import { listOurLinks } from "./host_link.ts";
import { chooseIpam } from "./ipam/choose_ipam.ts";
import { parseSettings } from "./protocol/configuration.ts";
import { CniError } from "./protocol/error.ts";
import { type CniResult, parseResult, type ResultRoute } from "./protocol/result.ts";
import { Sandbox } from "./sandbox.ts";

/** A route to an address of the node itself: `RTN_LOCAL`, <linux/rtnetlink.h>. */
const RTN_LOCAL = 2;

/**
 * Checks the container.
 *
 * @throws {CniError} naming everything that is missing or different
 */
export async function check(call: Call): Promise<void> {
  const { environment, configuration } = call;
  const settings = parseSettings(configuration);
  const { prevResult } = configuration.json;
  if (prevResult === undefined || prevResult === null) {
    throw new CniError("invalidConfiguration", `CHECK needs "prevResult": it is missing`);
  }
  const result = parseResult(prevResult, configuration.cniVersion, "prevResult");
  await chooseIpam(call).check(call, addressesOf(result, interfaceOf(result, call)));
  using sandbox = Sandbox.open(environment);
  const problems = problemsOf(sandbox, result, call);
  if (problems.length > 0) {
    throw new CniError("checkFailed", `Pod is not connected as it was: ${problems.join("; ")}`);
  }
  if (settings.agentSocket !== undefined) requireEnforced(settings.agentSocket, call);
}

/** Where the pod's end of the pair is among the result's interfaces; -1: nowhere. */
function interfaceOf({ interfaces }: CniResult, { environment: { ifname } }: Call): number {
  return interfaces.findIndex((it) => it.name === ifname && it.sandbox !== undefined);
}

/** The addresses of the interface with index `at`, and those that name no interface. */
function addressesOf({ ips }: CniResult, at: number): readonly Address[] {
  return ips.filter((it) => it.interface === undefined || it.interface === at)
    .map((it) => it.address.address);
}

function problemsOf(sandbox: Sandbox, result: CniResult, call: Call): string[] {
  const { containerId, ifname, netns } = call.environment;
  const at = interfaceOf(result, call);
  const expected = result.interfaces[at];
  if (expected === undefined) return [`prevResult has no interface ${ifname} in ${netns}`];
  const pod = sandbox.findPodLink(ifname);
  if (pod === undefined) return [`the pod has no interface ${ifname}`];
  const alias = aliasOf({ network: call.configuration.name, containerId, ifname });
  const host = listOurLinks(sandbox.host).find((it) => isSameAttachment(it.alias, alias));
  if (host === undefined) return [`the node has no interface of container ${containerId}`];
  const addresses = addressesOf(result, at);
  return [
    ...linkProblems(host, pod, expected.mac),
    ...podProblems(sandbox, pod, addresses, result),
    ...hostProblems(sandbox, host, addresses, pod.address),
  ];
}

function linkProblems(host: Link, pod: Link, mac: string | undefined): string[] {
  const problems: string[] = [];
  if (!pod.up) problems.push(`${pod.name} in the pod is down`);
  if (!host.up) problems.push(`${host.name} on the node is down`);
  if (pod.peerIndex !== host.index) {
    problems.push(`${pod.name} is not the other end of ${host.name}`);
  }
  if (mac !== undefined && pod.address !== mac.toLowerCase()) {
    problems.push(`${pod.name} has link address ${pod.address} instead of ${mac}`);
  }
  return problems;
}

function podProblems(
  { pod: socket }: Sandbox,
  link: Link,
  addresses: readonly Address[],
  result: CniResult,
): string[] {
  const present = new Set(
    socket.dump(dumpAddresses()).map(parseAddress)
      .filter((it) => it.index === link.index)
      .map((it) => String(it.prefix.address)),
  );
  const routes = ([4, 6] as const).flatMap((it) => socket.dump(dumpRoutes(it)).map(parseRoute));
  // A family of which the pod has no address has no routes of ours either.
  const expected = result.routes.filter((it) =>
    addresses.some((address) => address.family === it.dst.address.family)
  );
  return [
    ...addresses
      .filter((it) => !present.has(String(it)))
      .map((it) => `${link.name} in the pod has no address ${it}`),
    ...expected.flatMap((it) => routeProblems(routes, link, it)),
  ];
}

function routeProblems(routes: readonly Route[], link: Link, { dst, gw }: ResultRoute): string[] {
  const found = routes.filter((it) => leadsTo(it, dst));
  if (found.length === 0) return [`the pod has no route ${dst}`];
  const isRight = (it: Route): boolean =>
    it.index === link.index && (gw === undefined || String(it.gateway) === String(gw));
  if (found.some(isRight)) return [];
  return [`the pod's route ${dst} does not leave by ${link.name}${gw ? ` and ${gw}` : ""}`];
}

function hostProblems(
  { host: socket }: Sandbox,
  link: Link,
  addresses: readonly Address[],
  podLinkAddress: string | undefined,
): string[] {
  const routes = ([4, 6] as const).flatMap((it) => socket.dump(dumpRoutes(it)).map(parseRoute));
  const neighbours = socket.dump(dumpNeighbours()).map(parseNeighbour);
  return addresses.flatMap((address) => {
    const problems: string[] = [];
    if (!routes.some((it) => it.index === link.index && leadsTo(it, Prefix.host(address)))) {
      problems.push(`the node has no route ${address} by ${link.name}`);
    }
    if (routes.some((it) => it.type === RTN_LOCAL && leadsTo(it, Prefix.host(address)))) {
      problems.push(`the node has the address ${address} itself`);
    }
    const neighbour = neighbours.find((it) =>
      it.index === link.index && String(it.address) === String(address)
    );
    if (neighbour?.permanent !== true) {
      problems.push(`the node has no permanent neighbour ${address} on ${link.name}`);
    } else if (neighbour.linkAddress !== podLinkAddress) {
      problems.push(
        `the node sends what is for ${address} to ${neighbour.linkAddress}, not ${podLinkAddress}`,
      );
    }
    return problems;
  });
}

function leadsTo({ destination, family }: Route, wanted: Prefix): boolean {
  if (destination === "default") return wanted.length === 0 && wanted.address.family === family;
  return String(destination) === String(wanted.network);
}

/** @throws {CniError} if the agent says that the pod's policy is not in force */
function requireEnforced(path: string, { environment, log }: Call): void {
  const { containerId, ifname } = environment;
  let enforced: boolean | undefined;
  try {
    enforced = new AgentClient(path).isEnforced({ containerId, ifname });
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.warn("policy not checked", { error });
    return;
  }
  if (enforced === true) return;
  const what = enforced === undefined
    ? "calyx-agent does not know the pod's interface"
    : "the pod's policy is not in the kernel";
  throw new CniError("checkFailed", `Pod is not protected as it was: ${what}`);
}
