/**
 * A pod of a packet run: a network namespace, wired up by the plugin's own plan in this process, with
 * the addresses that the case says, and its services. A pod on its host's network stands for another
 * node (for the pods' own node: host_pod.ts): wired up alike, but under a name that is no pod's, and nobody tells the agent.
 */

import { planSandbox } from "../../cni/plan.ts";
import { Sandbox } from "../../cni/sandbox.ts";
import type { AgentEndpoint } from "../../lib/agent_api/endpoint.ts";
import type { EndpointId } from "../../lib/agent_api/route.ts";
import { Address } from "../../lib/ip/address.ts";
import type { Descriptor } from "../../lib/kernel/descriptor.ts";
import { createNamespace, deleteNamespace, openNamespace } from "../../lib/kernel/namespace.ts";
import { interfaceNameOf } from "../../lib/model/interface_name.ts";
import { aliasOf } from "../../lib/model/link_alias.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { deleteLink } from "../../lib/netlink/link/link.ts";
import type { NetlinkSocket } from "../../lib/netlink/socket.ts";
import type { CasePod } from "./case.ts";
import { addressesOf } from "./objects.ts";
import { PodServices } from "./pod_services.ts";

const IFNAME = "eth0";
const NODE_INTERFACE_PREFIX = "node";
let count = 0;

/** See the file's comment. */
export class AttachedPod implements Disposable {
  readonly pod: CasePod;
  readonly services: PodServices;
  readonly #containerId: string;
  readonly #path: string;
  readonly #namespace: Descriptor;
  readonly #host: NetlinkSocket;

  /** Makes and wires up the pod. `host` is an rtnetlink socket of this namespace. */
  constructor(
    pod: CasePod,
    services: readonly { readonly protocol: Protocol; readonly port: number }[],
    host: NetlinkSocket,
  ) {
    this.pod = pod;
    this.#host = host;
    this.#containerId = `conformance${count++}`;
    this.#path = `/run/netns/${this.#containerId}`;
    createNamespace(this.#path);
    this.#namespace = openNamespace(this.#path);
    using sandbox = Sandbox.open({
      command: "ADD",
      containerId: this.#containerId,
      netns: this.#path,
      ifname: IFNAME,
      args: "",
      path: [],
      allowOwnNamespace: false,
      trace: undefined,
    });
    sandbox.wire(planSandbox({
      hostName: this.#interfaceName,
      alias: aliasOf({
        network: "conformance",
        containerId: this.#containerId,
        ifname: IFNAME,
      }),
      podName: IFNAME,
      podLinkAddress: linkAddressOf(count),
      netns: this.#path,
      mtu: undefined,
      addresses: addressesOf(pod).map(Address.parse),
      subnetGateways: new Map(),
      routes: [],
      includeDefaultRoutes: false,
      allowIpForwarding: false,
      dns: {},
    }));
    this.services = new PodServices(this.#namespace, services);
  }

  /** What the plugin sends to the agent, and about what; `undefined` for a node. */
  get attachment(): { readonly id: EndpointId; readonly endpoint: AgentEndpoint } | undefined {
    if (this.pod.hostNetwork) return undefined;
    return {
      id: { containerId: this.#containerId, ifname: IFNAME },
      endpoint: {
        namespace: this.pod.namespace,
        pod: this.pod.name,
        interface: this.#interfaceName,
        addresses: addressesOf(this.pod),
        netns: this.#path,
      },
    };
  }

  /** Takes the pod away, its interface first. */
  [Symbol.dispose](): void {
    this.services[Symbol.dispose]();
    this.#host.request(deleteLink({ name: this.#interfaceName }));
    this.#namespace[Symbol.dispose]();
    deleteNamespace(this.#path);
  }

  get #interfaceName(): string {
    const { namespace, name, hostNetwork } = this.pod;
    return interfaceNameOf(namespace, name, hostNetwork ? NODE_INTERFACE_PREFIX : undefined);
  }
}

/** Locally administered, one for each pod. */
function linkAddressOf(number: number): string {
  const bytes = [0x02, 0, 0, number >> 16, number >> 8, number].map((it) => it & 0xff);
  return bytes.map((it) => it.toString(16).padStart(2, "0")).join(":");
}
