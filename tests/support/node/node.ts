/**
 * A node for tests: this network namespace, a small API server, the compiled agent, and pods that the
 * compiled plugin attaches. Everything goes when it is disposed of.
 */

import { KernelError } from "../../../lib/kernel/errno.ts";
import { writeSysctl } from "../../../lib/kernel/sysctl.ts";
import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import {
  addAddress,
  deleteAddress,
  dumpAddresses,
  parseAddress,
} from "../../../lib/netlink/address/address.ts";
import { RT_SCOPE_UNIVERSE } from "../../../lib/netlink/address/message.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { isAgentReady } from "./agent_client.ts";
import { type SmallApiServer, startApiServer } from "../kubernetes/api_server/server.ts";
import { runExecutable, RunningAgent } from "../program/executable.ts";
import { type KubernetesObject, KubernetesObjects } from "../kubernetes/kubernetes_objects.ts";
import { TestPod } from "./pod.ts";

/** The node's name. */
export const NODE_NAME = "node1";
/** `LOOPBACK_IFINDEX`, <net/flow.h> of the kernel. */
const LOOPBACK_INDEX = 1;
const POD_CIDRS = ["10.244.9.0/24", "fd00:10:244:9::/64"];

/** A node with its API server and agent, running until it is disposed of. */
export class TestNode implements AsyncDisposable {
  readonly api: SmallApiServer;
  readonly objects: KubernetesObjects;
  /** Where its pods and policies are. */
  readonly namespace: string;
  readonly #pods: TestPod[] = [];
  #agent: RunningAgent | undefined;

  private constructor(api: SmallApiServer, namespace: string) {
    this.api = api;
    this.namespace = namespace;
    this.objects = new KubernetesObjects(
      { fetch: (path, init) => fetch(api.url + path, init) },
      this.namespace,
    );
  }

  /** Starts the API server and makes the node; with `agent` false the agent is started by hand. */
  static async start(
    options: { readonly agent?: boolean; readonly namespace?: string } = {},
  ): Promise<TestNode> {
    const { namespace = "default" } = options;
    const node = new TestNode(startApiServer(), namespace);
    try {
      await node.#prepare(namespace, options.agent !== false);
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  /** The running agent. */
  get agent(): RunningAgent {
    if (this.#agent === undefined) throw new Error("The agent was not started");
    return this.#agent;
  }

  /** Starts the agent, and waits until policy is in force unless `waits` is false. */
  async startAgent(
    env: Readonly<Record<string, string>> = {},
    { waits = true }: { readonly waits?: boolean } = {},
  ): Promise<RunningAgent> {
    this.#agent = new RunningAgent({
      env: {
        K8S_API_ENDPOINT: this.api.url,
        CALYX_NODE_NAME: NODE_NAME,
        CALYX_HEALTH_PORT: "0",
        ...env,
      },
    });
    if (waits) await this.#agent.until("policy in force", () => isAgentReady());
    return this.#agent;
  }

  /** Makes a pod, attaches it, and says its addresses in its status. */
  async addPod(name: string, labels: Readonly<Record<string, string>> = {}): Promise<TestPod> {
    await this.createPod(name, labels);
    const pod = new TestPod(this.namespace, name);
    this.#pods.push(pod);
    await pod.attach();
    await this.setPodAddresses(name, pod.addresses);
    return pod;
  }

  /** Makes a pod object on this node, without a network. */
  async createPod(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.objects.create(this.objects.pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: this.namespace, labels: { app: name, ...labels } },
      spec: { nodeName: NODE_NAME, containers: [{ name: "main", image: "none" }] },
    });
  }

  /** Patches `status.podIPs` as the kubelet does. */
  async setPodAddresses(name: string, addresses: readonly string[]): Promise<void> {
    await this.objects.patch(`${this.objects.pods}/${name}/status`, {
      status: {
        phase: "Running",
        podIP: addresses[0],
        podIPs: addresses.map((ip) => ({ ip })),
      },
    });
  }

  /** Takes a pod away: its network, and then its object. */
  async removePod(pod: TestPod): Promise<void> {
    this.#pods.splice(this.#pods.indexOf(pod), 1);
    await pod.detach();
    await this.objects.delete(`${this.objects.pods}/${pod.name}`);
    pod[Symbol.dispose]();
  }

  /** Gives the node addresses: its loopback has them, and the Node object says so. */
  async setAddresses(addresses: readonly string[]): Promise<void> {
    using host = openNetlinkSocket(NETLINK_ROUTE);
    for (const text of addresses) {
      const prefix = Prefix.host(Address.parse(text));
      host.request(addAddress({ index: LOOPBACK_INDEX, prefix, noDad: true, replace: true }));
    }
    await this.objects.patch(`/api/v1/nodes/${NODE_NAME}/status`, {
      status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
    });
  }

  /** Makes a NetworkPolicy with this `spec`. */
  async createPolicy(name: string, spec: Readonly<Record<string, unknown>>): Promise<void> {
    const policy: KubernetesObject = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name, namespace: this.namespace },
      spec,
    };
    await this.objects.create(this.objects.policies, policy);
  }

  async deletePolicy(name: string): Promise<void> {
    await this.objects.delete(`${this.objects.policies}/${name}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pod of this.#pods) await pod.detach().catch(() => {});
    await this.#agent?.[Symbol.asyncDispose]();
    for (const pod of this.#pods) pod[Symbol.dispose]();
    await this.api[Symbol.asyncDispose]();
    await runExecutable("calyx-agent", { args: ["cleanup"] }); // the next test begins without a table
    clearLoopback();
  }

  async #prepare(namespace: string, hasAgent: boolean): Promise<void> {
    clearLoopback();
    keepServicesTracked();
    if (this.api.store.get("namespaces", namespace) === undefined) {
      this.api.store.create("namespaces", { metadata: { name: namespace } });
    }
    await this.objects.create("/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name: NODE_NAME },
      spec: { podCIDR: POD_CIDRS[0], podCIDRs: POD_CIDRS },
    });
    if (hasAgent) await this.startAgent();
  }
}

/** Where the kernel has IPVS, connection tracking sees it, as kube-proxy has it. */
function keepServicesTracked(): void {
  try {
    writeSysctl("net/ipv4/vs/conntrack", "1");
  } catch (error) {
    if (!(error instanceof KernelError && error.code === "ENOENT")) throw error;
  }
}

/**
 * Takes from the loopback what tests gave it. The kernel answers pods from the first address that it
 * finds, so that one that is left makes the node answer from another than it was asked at.
 */
function clearLoopback(): void {
  using host = openNetlinkSocket(NETLINK_ROUTE);
  const addresses = host.dump(dumpAddresses()).map(parseAddress)
    .filter((it) => it.index === LOOPBACK_INDEX && it.scope === RT_SCOPE_UNIVERSE);
  host.pipeline(addresses.map(deleteAddress));
}
