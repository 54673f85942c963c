/**
 * A pod on the network of the node that the other pods of a packet run are on: this very namespace. Its
 * addresses are the node's, and its services are open here. There can be one at a time: it answers on
 * every address of the node.
 */

import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { Descriptor } from "../../lib/kernel/descriptor.ts";
import { openCurrentNamespace } from "../../lib/kernel/namespace.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import { addAddress, deleteAddress } from "../../lib/netlink/address/address.ts";
import { getLink, parseLink } from "../../lib/netlink/link/link.ts";
import type { NetlinkSocket } from "../../lib/netlink/socket.ts";
import type { CasePod } from "./case.ts";
import { addressesOf } from "./objects.ts";
import { PodServices } from "./pod_services.ts";

const LOOPBACK = "lo";

/** See above. */
export class HostPod implements Disposable {
  readonly pod: CasePod;
  readonly services: PodServices;
  /** The agent is told of no pod on its host's network. */
  readonly attachment: undefined;
  readonly #addresses: readonly { readonly index: number; readonly prefix: Prefix }[];
  readonly #namespace: Descriptor;
  readonly #host: NetlinkSocket;

  /** Gives this namespace the pod's addresses. `host` is an rtnetlink socket of it. */
  constructor(
    pod: CasePod,
    services: readonly { readonly protocol: Protocol; readonly port: number }[],
    host: NetlinkSocket,
  ) {
    this.pod = pod;
    this.#host = host;
    const [reply] = host.request(getLink({ name: LOOPBACK }));
    if (reply === undefined) throw new Error(`There is no link ${LOOPBACK}`);
    const { index } = parseLink(reply);
    this.#addresses = addressesOf(pod).map((text) => {
      const address = Address.parse(text);
      return { index, prefix: new Prefix(address, address.family === 4 ? 32 : 128) };
    });
    for (const it of this.#addresses) host.request(addAddress({ ...it, noDad: true }));
    this.#namespace = openCurrentNamespace();
    this.services = new PodServices(this.#namespace, services);
  }

  /** Takes the pod and its addresses away. */
  [Symbol.dispose](): void {
    this.services[Symbol.dispose]();
    this.#namespace[Symbol.dispose]();
    for (const it of this.#addresses) this.#host.request(deleteAddress(it));
  }
}
