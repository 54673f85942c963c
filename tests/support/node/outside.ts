/** A host beside the node, behind an interface of the node that is no pod's. */

import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import {
  createNamespace,
  deleteNamespace,
  openNamespace,
  withNamespace,
} from "../../../lib/kernel/namespace.ts";
import { addAddress } from "../../../lib/netlink/address/address.ts";
import {
  addVeth,
  deleteLink,
  getLink,
  parseLink,
  setLink,
} from "../../../lib/netlink/link/link.ts";
import { addRoute } from "../../../lib/netlink/route/route.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";

/** The host's addresses, IPv4 first, and the node's on the way to it. */
export const OUTSIDE = ["192.0.2.2", "2001:db8::2"] as const;
export const UPLINK = ["192.0.2.1", "2001:db8::1"] as const;

/** Until it is disposed of. */
export class Outside implements Disposable {
  readonly namespace: Descriptor;
  readonly #path = "/run/netns/outside";
  readonly #host: NetlinkSocket = openNetlinkSocket(NETLINK_ROUTE);

  constructor() {
    createNamespace(this.#path);
    this.namespace = openNamespace(this.#path);
    const peer = { name: "eth0", namespaceFd: this.namespace.fd };
    this.#host.request(addVeth({ name: "uplink0", up: true, peer }));
    using inner = withNamespace(this.namespace, () => openNetlinkSocket(NETLINK_ROUTE));
    const index = indexOf(inner, "eth0");
    inner.request(setLink({ index, up: true }));
    for (const [at, address] of OUTSIDE.entries()) {
      const length = at === 0 ? 24 : 64;
      inner.request(
        addAddress({ index, prefix: Prefix.parse(`${address}/${length}`), noDad: true }),
      );
      this.#host.request(addAddress({
        index: indexOf(this.#host, "uplink0"),
        prefix: Prefix.parse(`${UPLINK[at]}/${length}`),
        noDad: true,
      }));
      inner.request(addRoute({
        destination: "default",
        family: at === 0 ? 4 : 6,
        index,
        gateway: Address.parse(UPLINK[at] ?? ""),
      }));
    }
  }

  [Symbol.dispose](): void {
    this.#host.request(deleteLink({ name: "uplink0" }));
    this.#host[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
    deleteNamespace(this.#path);
  }
}

function indexOf(socket: NetlinkSocket, name: string): number {
  const [link] = socket.request(getLink({ name })).map(parseLink);
  if (link === undefined) throw new Error(`There is no link ${name}`);
  return link.index;
}
