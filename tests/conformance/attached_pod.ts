/**
 * A pod of a packet run: a network namespace, wired up by the plugin's own plan in this process, with
 * the addresses that the case says, and its services. A pod on its host's network stands for another
 * node (host_pod.ts stands for the pods' own node): it is attached in the same way, but its interface is not
 * named as a pod's and is not reported to the agent.
 */

import type { AgentEndpoint } from "../../lib/agent_api/endpoint.ts";
import type { EndpointId } from "../../lib/agent_api/route.ts";
import { Address } from "../../lib/ip/address.ts";
import { interfaceNameOf } from "../../lib/model/interface_name.ts";
import { aliasOf } from "../../lib/model/link_alias.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { TestContainer } from "../support/plugin/container.ts";
import { wireUp } from "../support/plugin/wire_up.ts";
import type { CasePod } from "./case.ts";
import { addressesOf } from "./objects.ts";
import { PodServices } from "./pod_services.ts";

const IFNAME = "eth0";
const NODE_INTERFACE_PREFIX = "node";
let count = 0;

/** One attached pod; disposing of it detaches it. */
export class AttachedPod implements Disposable {
  readonly pod: CasePod;
  readonly services: PodServices;
  readonly #container: TestContainer;

  /** Makes and wires up the pod. */
  constructor(
    pod: CasePod,
    services: readonly { readonly protocol: Protocol; readonly port: number }[],
  ) {
    this.pod = pod;
    const containerId = `conformance${count++}`;
    this.#container = new TestContainer(containerId, pod.name, undefined, pod.namespace);
    wireUp(this.#container, {
      hostName: this.#interfaceName,
      alias: aliasOf({ network: "conformance", containerId, ifname: IFNAME }),
      linkAddress: linkAddressOf(count),
      addresses: addressesOf(pod).map(Address.parse),
    });
    this.services = new PodServices(this.#container.namespace, services);
  }

  /** What the plugin sends to the agent, and about what; `undefined` for a node. */
  get attachment(): { readonly id: EndpointId; readonly endpoint: AgentEndpoint } | undefined {
    if (this.pod.hostNetwork) return undefined;
    return {
      id: { containerId: this.#container.containerId, ifname: IFNAME },
      endpoint: {
        namespace: this.pod.namespace,
        pod: this.pod.name,
        interface: this.#interfaceName,
        addresses: addressesOf(this.pod),
        netns: this.#container.path,
      },
    };
  }

  /** Takes the pod away, and with it its interface. */
  [Symbol.dispose](): void {
    this.services[Symbol.dispose]();
    this.#container[Symbol.dispose]();
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
