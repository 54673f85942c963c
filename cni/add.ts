/**
 * ADD: an address, a pair of links, routes, and the pod's policy in the kernel before the pod starts.
 * Whatever fails, all of it is taken back: the addresses that this call took, the pair, what the agent
 * was told.
 */

import { STATUS } from "../lib/agent_api/message.ts";
import type { EndpointId } from "../lib/agent_api/route.ts";
import { sleep } from "../lib/base/async.ts";
import type { Logger } from "../lib/base/log.ts";
import { aliasOf, attachmentOf } from "../lib/model/link_alias.ts";
import { isExists } from "../lib/netlink/error.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";
import { AgentClient, AgentError } from "./agent_client.ts";
import type { Call } from "./call.ts";
import {
  deleteAttachmentLink,
  deleteLinkIfThere,
  findLink,
  holderOf,
  hostNamesOf,
  isHalfMade,
  MARKING_MS_MAX,
} from "./host_link.ts";
import { chooseIpam } from "./ipam/choose_ipam.ts";
import type { Lease } from "./ipam/ipam.ts";
import { NodeFacts } from "./node.ts";
import { planSandbox, type PodNetwork, resultOf } from "./plan.ts";
import { parseSettings, type PluginSettings } from "./protocol/configuration.ts";
import { type CallArguments, parseArguments, type PodName } from "./protocol/environment.ts";
import { CniError, toCniError } from "./protocol/error.ts";
import { appendResult, type CniResult, EMPTY_RESULT, parseResult } from "./protocol/result.ts";
import { Sandbox } from "./sandbox.ts";

/** How often ADD checks a name that is taken: an ADD and a DEL of one pod may overlap. */
const WIRE_ATTEMPTS_MAX = 4;

/**
 * Connects the container.
 *
 * @throws {CniError} if it could not be; then nothing of it is left
 */
export async function add(call: Call): Promise<CniResult> {
  const { environment, configuration } = call;
  const settings = parseSettings(configuration);
  const args = parseArguments(environment.args);
  if (settings.agentSocket !== undefined && args.pod === undefined) {
    throw new CniError(
      "badEnvironment",
      "CNI_ARGS must name the pod: K8S_POD_NAMESPACE and K8S_POD_NAME are missing",
      { details: "Without the pod's name calyx-agent cannot tell which policy governs it" },
    );
  }
  const previous = previousResult(call);
  const ipam = chooseIpam(call);
  const node = new NodeFacts(settings);
  using sandbox = Sandbox.open(environment);
  refuseTakenName(sandbox, environment.ifname);
  const mtu = node.mtu();
  const lease = await ipam.allocate(call, {
    requested: args.address,
    podCidrs: () => node.podCidrs(),
  });
  const undo = new Undo(call.log);
  undo.add("release addresses", () => lease.release());
  try {
    const agent = settings.agentSocket === undefined
      ? undefined
      : new AgentClient(settings.agentSocket);
    const plans = podNetworksOf(call, settings, args, lease, mtu);
    const podNetwork = await wire(sandbox, plans, { agent, pod: args.pod, log: call.log });
    undo.add(
      "delete interface",
      () => deleteAttachmentLink(sandbox.host, podNetwork.alias, podNetwork.hostName),
    );
    if (agent !== undefined && args.pod !== undefined) {
      enforce(agent, settings, args.pod, call, podNetwork, undo);
    }
    return appendResult(previous, resultOf(podNetwork));
  } catch (error) {
    await undo.run();
    throw toCniError(error, "networkFailed");
  }
}

/** The result of the plugins before this one in a chain. */
function previousResult({ configuration }: Call): CniResult {
  const { prevResult } = configuration.json;
  if (prevResult === undefined || prevResult === null) return EMPTY_RESULT;
  return parseResult(prevResult, configuration.cniVersion, "prevResult");
}

/** @throws {CniError} if the container has an interface of this name already */
function refuseTakenName(sandbox: Sandbox, ifname: string): void {
  if (sandbox.findPodLink(ifname) === undefined) return;
  throw new CniError(
    "networkFailed",
    `Interface ${ifname} exists in the container already`,
    { details: "CNI_IFNAME has to be free; DEL comes before a second ADD" },
  );
}

/** The pod's network, once for each candidate name of its interface, in order. */
function* podNetworksOf(
  { environment, configuration }: Call,
  settings: PluginSettings,
  { pod }: CallArguments,
  { result }: Lease,
  mtu: number | undefined,
): Generator<PodNetwork> {
  const { containerId, ifname, netns } = environment;
  const id = { network: configuration.name, containerId, ifname };
  const { dns } = settings;
  const podNetwork: Omit<PodNetwork, "hostName"> = {
    alias: aliasOf(id, pod),
    podName: ifname,
    podLinkAddress: randomLinkAddress(),
    netns,
    mtu,
    addresses: result.ips.map((it) => it.address.address),
    subnetGateways: new Map(
      result.ips.flatMap((it) =>
        it.gateway === undefined ? [] : [[it.address.address, it.gateway]]
      ),
    ),
    routes: result.routes,
    includeDefaultRoutes: settings.includeDefaultRoutes,
    allowIpForwarding: settings.allowIpForwarding,
    dns: Object.keys(dns).length > 0 ? dns : result.dns,
  };
  for (const hostName of hostNamesOf(pod, id, settings.interfacePrefix)) {
    yield { ...podNetwork, hostName };
  }
}

/** Locally administered, unicast. */
function randomLinkAddress(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return Array.from(bytes, (it) => it.toString(16).padStart(2, "0")).join(":");
}

/** What ADD needs to decide about a link that has the wanted name. */
interface NameContext {
  readonly agent: AgentClient | undefined;
  readonly pod: PodName | undefined;
  readonly log: Logger;
}

/**
 * Wires the pod up under the first name that is free, or that an earlier sandbox of the same pod has:
 * that sandbox's interface is deleted. Whatever else has a name stays as it is.
 *
 * @returns what was done
 * @throws {CniError} if every name is taken
 */
async function wire(
  sandbox: Sandbox,
  podNetworks: Iterable<PodNetwork>,
  context: NameContext,
): Promise<PodNetwork> {
  const taken: string[] = [];
  for (const podNetwork of podNetworks) {
    if (await tryName(sandbox, podNetwork, context)) return podNetwork;
    taken.push(podNetwork.hostName);
  }
  throw new CniError(
    "networkFailed",
    `Every name that the pod's interface can have is taken on the node: ${taken.join(", ")}`,
    { details: `"ip -d link show" says by what; ip link delete NAME frees one` },
  );
}

/** @returns `false` if the link of that name is not ours to delete */
async function tryName(
  sandbox: Sandbox,
  podNetwork: PodNetwork,
  { agent, pod, log }: NameContext,
): Promise<boolean> {
  const { hostName, alias } = podNetwork;
  const steps = planSandbox(podNetwork);
  for (let attempt = 1;; attempt++) {
    try {
      sandbox.wire(steps);
      return true;
    } catch (error) {
      if (!isExists(error) || attempt === WIRE_ATTEMPTS_MAX) throw error;
    }
    const link = findLink(sandbox.host, hostName);
    if (link === undefined) continue; // its own DEL was faster
    const holder = holderOf(link, alias);
    if (holder === "half made") {
      await deleteAbandoned(sandbox.host, link, log);
      continue;
    }
    if (holder === "other" || holder === "unnamed pod" && !isKnownAs(agent, link, pod)) {
      log.warn("interface name taken", { interface: hostName, alias: link.alias });
      return false;
    }
    // The agent drops the earlier sandbox's addresses now: they must not count for the new interface until DEL.
    const earlier = attachmentOf(link.alias ?? "");
    if (agent !== undefined && earlier !== undefined) tellGone(agent, earlier, log);
    deleteLinkIfThere(sandbox.host, link.index);
    log.warn("interface of an earlier sandbox deleted", {
      interface: hostName,
      alias: link.alias,
    });
  }
}

/** Deletes a pair without an alias that is older than any running ADD leaves it. */
async function deleteAbandoned(
  host: NetlinkSocket,
  { index, name }: Link,
  log: Logger,
): Promise<void> {
  await sleep(MARKING_MS_MAX);
  const link = findLink(host, name);
  if (link === undefined || link.index !== index || !isHalfMade(link)) return;
  deleteLinkIfThere(host, index);
  log.warn("interface of an unfinished ADD deleted", { interface: name });
}

/** Whether the agent knows the link as this pod's; without an answer: no. */
function isKnownAs(
  agent: AgentClient | undefined,
  { alias = "" }: Link,
  pod: PodName | undefined,
): boolean {
  const id = attachmentOf(alias);
  if (agent === undefined || id === undefined || pod === undefined) return false;
  try {
    return agent.podOf(id) === `${pod.namespace}/${pod.name}`;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    return false;
  }
}

/** Tells the agent that an attachment is gone; an agent that does not answer sees it at its next start. */
function tellGone(agent: AgentClient, id: EndpointId, log: Logger): void {
  try {
    agent.deleteEndpoint(id);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const { containerId, ifname } = id;
    log.warn("deletion not reported to the agent", { containerId, ifname, error });
  }
}

/** Waits until the pod's policy is in the kernel; at the timeout the pod starts closed or ADD fails, as configured. */
function enforce(
  agent: AgentClient,
  settings: PluginSettings,
  pod: PodName,
  { environment, log }: Call,
  podNetwork: PodNetwork,
  undo: Undo,
): void {
  const { policyTimeoutMs, startsClosed } = settings;
  let isKnown = true;
  undo.add("tell the agent", () => {
    if (isKnown) tellGone(agent, environment, log);
  });
  try {
    agent.putEndpoint(environment, {
      namespace: pod.namespace,
      pod: pod.name,
      ...(pod.uid === undefined ? {} : { uid: pod.uid }),
      interface: podNetwork.hostName,
      addresses: podNetwork.addresses.map(String),
      netns: podNetwork.netns,
    }, policyTimeoutMs);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    isKnown = !error.isRefusal && !error.isUnreached;
    if (error.status === STATUS.detached) throw new CniError("tryAgainLater", error.message);
    if (error.isRefusal) throw new CniError("internal", error.message, { cause: error });
    if (startsClosed) {
      log.warn("pod starts closed: its policy is not in the kernel yet", { error });
      return;
    }
    throw new CniError("tryAgainLater", error.message, {
      details: `"policy_setup_timeout_action": "closed" lets pods start without connection instead`,
      cause: error,
    });
  }
}

/** Undoes what this call did, the last step first; a step that fails is logged and left to DEL. */
class Undo {
  readonly #log: Logger;
  readonly #steps: { readonly what: string; readonly f: () => unknown }[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  add(what: string, f: () => unknown): void {
    this.#steps.unshift({ what, f });
  }

  async run(): Promise<void> {
    for (const { what, f } of this.#steps) {
      try {
        await f();
      } catch (error) {
        this.#log.error("ADD could not be undone", { what, error });
      }
    }
  }
}
