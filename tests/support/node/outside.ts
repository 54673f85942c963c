/** A host beside the node, behind an interface of the node that is no pod's. */

import { Address } from "../../../lib/ip/address.ts";
import { Prefix } from "../../../lib/ip/prefix.ts";
import { addAddress } from "../../../lib/netlink/address/address.ts";
import { addVeth, getLink, parseLink, setLink } from "../../../lib/netlink/link/link.ts";
import { addRoute } from "../../../lib/netlink/route/route.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";
import { TestNamespace } from "../kernel/test_namespace.ts";

/** The host's addresses, IPv4 first, and the node's on the way to it. */
export const OUTSIDE = ["192.0.2.2", "2001:db8::2"] as const;
export const UPLINK = ["192.0.2.1", "2001:db8::1"] as const;

/** Until it is disposed of; both ends of the pair go with it. */
export class Outside extends TestNamespace {
  constructor() {
    super();
    using host = openNetlinkSocket(NETLINK_ROUTE);
    const peer = { name: "eth0", namespaceFd: this.namespace.fd };
    host.request(addVeth({ name: "uplink0", up: true, peer }));
    const index = indexOf(this.route, "eth0");
    this.route.request(setLink({ index, up: true }));
    for (const [at, address] of OUTSIDE.entries()) {
      const length = at === 0 ? 24 : 64;
      this.route.request(
        addAddress({ index, prefix: Prefix.parse(`${address}/${length}`), noDad: true }),
      );
      host.request(addAddress({
        index: indexOf(host, "uplink0"),
        prefix: Prefix.parse(`${UPLINK[at]}/${length}`),
        noDad: true,
      }));
      this.route.request(addRoute({
        destination: "default",
        family: at === 0 ? 4 : 6,
        index,
        gateway: Address.parse(UPLINK[at] ?? ""),
      }));
    }
  }
}

function indexOf(socket: NetlinkSocket, name: string): number {
  const [link] = socket.request(getLink({ name })).map(parseLink);
  if (link === undefined) throw new Error(`There is no link ${name}`);
  return link.index;
}
