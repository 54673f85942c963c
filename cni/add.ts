/**
 * ADD: an address, a pair of links, routes, and the pod's policy in the kernel before the pod starts.
 * Whatever fails, all of it is taken back: the addresses that this call took, the pair, what the agent
 * was told.
 */

import type { Logger } from "../lib/base/log.ts";
import { isExists } from "../lib/netlink/error.ts";
import type { Link } from "../lib/netlink/link/link.ts";
import { AgentClient, AgentError } from "./agent_client.ts";
import { aliasOf, attachmentOf, hostNameOf } from "./attachment.ts";
import type { Call } from "./call.ts";
import { deleteAttachmentLink, deleteLinkIfThere, findReplaceable } from "./host_link.ts";
import { ipamOf, type Lease } from "./ipam/ipam.ts";
import { NodeFacts } from "./node.ts";
import { planSandbox, resultOf, type Wiring } from "./plan.ts";
import { parseSettings, type PluginSettings } from "./protocol/configuration.ts";
import { type CallArguments, parseArguments, type PodName } from "./protocol/environment.ts";
import { CniError, toCniError } from "./protocol/error.ts";
import { appendResult, type CniResult, EMPTY_RESULT, parseResult } from "./protocol/result.ts";
import { Sandbox } from "./sandbox.ts";

/** How often a name that is taken is looked at: ADDs and DELs of one pod may cross. */
const WIRE_ATTEMPTS_MAX = 4;

/** The agent's status for an interface that somebody deleted while its policy was awaited. */
const DETACHED = 409;

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
  const ipam = ipamOf(call);
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
    const wiring = wiringOf(call, settings, args, lease, mtu);
    undo.add(
      "delete interface",
      () => deleteAttachmentLink(sandbox.host, wiring.alias, wiring.hostName),
    );
    const agent = settings.agentSocket === undefined
      ? undefined
      : new AgentClient(settings.agentSocket);
    wire(sandbox, wiring, { agent, pod: args.pod, log: call.log });
    if (agent !== undefined && args.pod !== undefined) {
      undo.add("tell the agent", () => agent.deleteEndpoint(environment));
      enforce(agent, settings, args.pod, call, wiring);
    }
    return appendResult(previous, resultOf(wiring));
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

function wiringOf(
  { environment, configuration }: Call,
  settings: PluginSettings,
  { pod }: CallArguments,
  { result }: Lease,
  mtu: number | undefined,
): Wiring {
  const { containerId, ifname, netns } = environment;
  const { dns } = settings;
  return {
    hostName: hostNameOf(
      pod,
      { network: configuration.name, containerId, ifname },
      settings.interfacePrefix,
    ),
    alias: aliasOf({ network: configuration.name, containerId, ifname }),
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
}

/** Locally administered, unicast. */
function randomLinkAddress(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return Array.from(bytes, (it) => it.toString(16).padStart(2, "0")).join(":");
}

function wire(
  sandbox: Sandbox,
  wiring: Wiring,
  { agent, pod, log }: {
    readonly agent: AgentClient | undefined;
    readonly pod: PodName | undefined;
    readonly log: Logger;
  },
): void {
  const { hostName, alias } = wiring;
  const steps = planSandbox(wiring);
  for (let attempt = 1;; attempt++) {
    try {
      return sandbox.wire(steps);
    } catch (error) {
      if (!isExists(error) || attempt === WIRE_ATTEMPTS_MAX) throw error;
    }
    const earlier = findReplaceable(sandbox.host, hostName, alias);
    if (earlier === undefined) continue; // its own DEL was faster
    if (agent !== undefined) forgetReplaced(agent, earlier, pod, log);
    deleteLinkIfThere(sandbox.host, earlier.index);
    log.warn("interface of an earlier sandbox deleted", {
      interface: hostName,
      alias: earlier.alias,
    });
  }
}

/**
 * The earlier sandbox's addresses must not be good for the new one's interface until DEL comes.
 *
 * @throws {CniError} if it is another pod's: interface names are short hashes, and somebody may have
 * looked for a pod's name that has the hash of another's
 */
function forgetReplaced(
  agent: AgentClient,
  { name, alias }: Link,
  pod: PodName | undefined,
  log: Logger,
): void {
  const id = attachmentOf(alias ?? "");
  if (id === undefined) return;
  try {
    const owner = agent.podOf(id);
    if (owner !== undefined && owner !== `${pod?.namespace}/${pod?.name}`) {
      throw new CniError("networkFailed", `Interface ${name} is that of pod ${owner}`, {
        details: "The names of both pods have the same hash: one has to be renamed",
      });
    }
    agent.deleteEndpoint(id);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    log.warn("agent not told of a deletion", { alias, error });
  }
}

/** Waits until the pod's policy is in the kernel, or lets it start closed where that is wanted. */
function enforce(
  agent: AgentClient,
  settings: PluginSettings,
  pod: PodName,
  { environment, log }: Call,
  wiring: Wiring,
): void {
  const { policyTimeoutMs, startsClosed } = settings;
  try {
    agent.putEndpoint(environment, {
      namespace: pod.namespace,
      pod: pod.name,
      ...(pod.uid === undefined ? {} : { uid: pod.uid }),
      interface: wiring.hostName,
      addresses: wiring.addresses.map(String),
      netns: wiring.netns,
    }, policyTimeoutMs);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    if (error.status === DETACHED) throw new CniError("tryAgainLater", error.message);
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

/** What takes back what this call did, the last thing first; what fails is logged and left to DEL. */
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
