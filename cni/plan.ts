/**
 * From what a pod is given to the ordered steps that wire it up, and to the result that says so.
 * A plan is a value: `sandbox.ts` carries it out. There is no step that undoes another, because
 * everything here hangs on the pair of links: deleting the host's end takes all of it away.
 *
 *   pod: eth0 10.244.0.5/32          host: cali0a1b2c3d4e5 ee:ee:ee:ee:ee:ee
 *        fd00:10:244::5/128                10.244.0.5/32, fd00:10:244::5/128 dev cali0a1b2c3d4e5
 *        default via 169.254.1.1           neighbours of the pod's addresses, permanent
 *        default via fe80::ecee:eeff:feee:eeee
 *        neighbours of both gateways, permanent
 *
 * No pod and no node has the gateways' addresses: the permanent neighbours say where to send, so that
 * no first packet waits for an answer, and the host needs neither proxy_arp nor proxy_ndp. The host's
 * end learns none beside them (IFF_NOARP).
 */

import { assert } from "../lib/base/assert.ts";
import { Address, FAMILIES, type Family } from "../lib/ip/address.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import type { CniResult, ResultDns, ResultRoute } from "./protocol/result.ts";

/** The link address of every host end: pods keep it as their gateway's. */
export const HOST_LINK_ADDRESS = "ee:ee:ee:ee:ee:ee";

/** The gateway of a family: the same for every pod. */
export const GATEWAYS: Readonly<Record<Family, Address>> = {
  4: Address.parse("169.254.1.1"),
  6: linkLocalOf(HOST_LINK_ADDRESS),
};

/** The IPv6 link-local address that the kernel derives of a link address: RFC 4291, appendix A. */
export function linkLocalOf(linkAddress: string): Address {
  const mac = linkAddress.split(":").map((it) => parseInt(it, 16));
  const [first = 0, second = 0, third = 0, ...rest] = mac;
  assert(mac.length === 6, "A link address has six bytes");
  const identifier = [first ^ 2, second, third, 0xff, 0xfe, ...rest];
  return Address.fromBytes(Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...identifier]));
}

/** A pod's network: both ends of its veth pair, addresses and routes. */
export interface PodNetwork {
  /** The host's end of the pair. */
  readonly hostName: string;
  /** The alias of the host's end, which names the owner (`link_alias.ts`). */
  readonly alias: string;
  /** The pod's end, and its link address. */
  readonly podName: string;
  readonly podLinkAddress: string;
  /** Path of the pod's namespace. */
  readonly netns: string;
  readonly mtu: number | undefined;
  readonly addresses: readonly Address[];
  /**
   * What a delegate calls the gateway of an address's subnet: for the result alone, where CHECK of the
   * delegate may look for it. No packet goes there.
   */
  readonly subnetGateways: ReadonlyMap<Address, Address>;
  /** Routes of IPAM; their gateways are ignored. */
  readonly routes: readonly ResultRoute[];
  readonly includeDefaultRoutes: boolean;
  readonly allowIpForwarding: boolean;
  readonly dns: ResultDns;
}

/** The node's side or the pod's. */
export type Side = "host" | "pod";

/** One step, on one side. */
export type Step =
  | {
    readonly kind: "pair";
    readonly hostName: string;
    readonly hostLinkAddress: string;
    readonly podName: string;
    readonly podLinkAddress: string;
    readonly mtu: number | undefined;
  }
  | { readonly kind: "alias"; readonly text: string }
  /** The host's end learns no neighbours. */
  | { readonly kind: "noArp" }
  | {
    readonly kind: "sysctl";
    readonly side: Side;
    readonly key: string;
    readonly value: string;
    /** Whether the kernel may lack the parameter: built or started without IPv6. */
    readonly optional: boolean;
    /** Other acceptable values, if the parameter cannot be written (`/proc/sys` is read-only). */
    readonly tolerated: readonly string[];
  }
  | { readonly kind: "up"; readonly side: Side; readonly link: "loopback" | "pair" }
  | { readonly kind: "address"; readonly prefix: Prefix }
  | {
    readonly kind: "neighbour";
    readonly side: Side;
    readonly address: Address;
    readonly linkAddress: string;
  }
  | {
    readonly kind: "route";
    readonly side: Side;
    readonly destination: Prefix;
    readonly gateway: Address | undefined;
    readonly more: RouteDetails;
  };

/** Attributes of a route beside its destination. */
export type RouteDetails = Pick<ResultRoute, "mtu" | "advmss" | "priority" | "table">;

/** Plans the steps that wire up a pod, in order. Pure. */
export function planSandbox(podNetwork: PodNetwork): readonly Step[] {
  const { hostName, podName, podLinkAddress, mtu, alias } = podNetwork;
  return [
    {
      kind: "pair",
      hostName,
      hostLinkAddress: HOST_LINK_ADDRESS,
      podName,
      podLinkAddress,
      mtu,
    },
    { kind: "alias", text: alias },
    // What a pod says of link addresses is never believed: all neighbours on the link are permanent, and
    // the kernel's table of them, which all links share, is not the pod's to fill. Before they are set,
    // for the change would take them away.
    { kind: "noArp" },
    ...hostSysctls(podNetwork),
    ...podSysctls(podNetwork),
    { kind: "up", side: "pod", link: "loopback" },
    { kind: "up", side: "pod", link: "pair" },
    ...podNetwork.addresses.map((it): Step => ({ kind: "address", prefix: Prefix.host(it) })),
    ...familiesOf(podNetwork).flatMap(gatewaySteps),
    ...routesOf(podNetwork).map(({ dst, gw, ...more }): Step => ({
      kind: "route",
      side: "pod",
      destination: dst,
      gateway: gw,
      more,
    })),
    { kind: "up", side: "host", link: "pair" },
    ...podNetwork.addresses.flatMap((address): Step[] => [
      { kind: "neighbour", side: "host", address, linkAddress: podLinkAddress },
      linkRoute("host", address),
    ]),
  ];
}

/** How the pod reaches the gateway of a family: IPv6 needs no route to a link-local address. */
function gatewaySteps(family: Family): Step[] {
  const address = GATEWAYS[family];
  const neighbour: Step = {
    kind: "neighbour",
    side: "pod",
    address,
    linkAddress: HOST_LINK_ADDRESS,
  };
  return family === 4 ? [neighbour, linkRoute("pod", address)] : [neighbour];
}

function linkRoute(side: Side, address: Address): Step {
  return {
    kind: "route",
    side,
    destination: Prefix.host(address),
    gateway: undefined,
    more: {},
  };
}

/** Options of a step "sysctl". */
type SysctlNeed = Partial<Pick<Step & { readonly kind: "sysctl" }, "optional" | "tolerated">>;

/** Sysctls that are set before the link is up, so that it never runs without them. */
function hostSysctls({ hostName, addresses }: PodNetwork): Step[] {
  const isIPv4 = addresses.every((it) => it.family === 4);
  const set = (
    key: string,
    value: string,
    { optional = isIPv4, tolerated = [] }: SysctlNeed = {},
  ): Step => ({ kind: "sysctl", side: "host", key, value, optional, tolerated });
  return [
    // The node routes between its pods and the world, as every plugin of this kind has it do; IPv6
    // knows no forwarding of one link alone.
    set("net/ipv4/ip_forward", "1", { optional: false }),
    ...(isIPv4 ? [] : [set("net/ipv6/conf/all/forwarding", "1")]),
    set(`net/ipv4/conf/${hostName}/forwarding`, "1", { optional: false }),
    // Not route_localnet: with it a pod reaches what listens on the node's 127.0.0.1 alone. Who forwards
    // such ports to pods (portmap, kube-proxy) sets it, and guards against that.
    // A node that has IPv6 switched off does so for a pod without it, too.
    ...(isIPv4 ? [] : [set(`net/ipv6/conf/${hostName}/disable_ipv6`, "0")]),
    // No link-local address (IN6_ADDR_GEN_MODE_NONE, <linux/if_link.h>): then neighbour discovery has
    // nothing to answer for, and does not note who asks, as it would on a link that learns no neighbours
    // too. The pod's permanent neighbour is all that its packets need.
    set(`net/ipv6/conf/${hostName}/addr_gen_mode`, "1", { tolerated: ["0", "2", "3"] }),
    // 1 is for links that do not forward; 2 would believe the pod.
    set(`net/ipv6/conf/${hostName}/accept_ra`, "0", { tolerated: ["1"] }),
    set(`net/ipv6/conf/${hostName}/forwarding`, "1"),
  ];
}

function podSysctls({ podName, addresses, allowIpForwarding }: PodNetwork): Step[] {
  const hasIPv6 = addresses.some((it) => it.family === 6);
  const set = (
    key: string,
    value: string,
    { optional = !hasIPv6, tolerated = [] }: SysctlNeed = {},
  ): Step => ({ kind: "sysctl", side: "pod", key, value, optional, tolerated });
  const forwarding = allowIpForwarding ? "1" : "0";
  const tolerated = ["1"]; // what a new namespace has of the node's
  return [
    set("net/ipv4/ip_forward", forwarding, { optional: false, tolerated }),
    set("net/ipv6/conf/all/forwarding", forwarding, { tolerated }),
    ...(hasIPv6
      ? [
        set("net/ipv6/conf/all/disable_ipv6", "0"),
        set(`net/ipv6/conf/${podName}/disable_ipv6`, "0"),
        set("net/ipv6/conf/lo/disable_ipv6", "0"),
        set(`net/ipv6/conf/${podName}/accept_dad`, "0", { tolerated: ["1"] }),
      ]
      : []),
  ];
}

/** The families of the pod's addresses. */
function familiesOf({ addresses }: PodNetwork): Family[] {
  return FAMILIES.filter((family) => addresses.some((it) => it.family === family));
}

/**
 * The pod's routes: those of IPAM, each by the gateway of its family, since there is no other way out,
 * and so with the scope of one that leads over a gateway; and a default route for every family for
 * which IPAM gave none at all.
 */
export function routesOf(podNetwork: PodNetwork): ResultRoute[] {
  const families = familiesOf(podNetwork);
  const routes = new Map<string, ResultRoute>();
  for (const family of families) {
    const given = podNetwork.routes.filter((it) => it.dst.address.family === family);
    const defaultRoute: ResultRoute = { dst: new Prefix(Address.of(family, 0n), 0) };
    const needsDefault = given.length === 0 || podNetwork.includeDefaultRoutes;
    const wanted = needsDefault ? [...given, defaultRoute] : given;
    for (const { dst, gw: _gateway, scope: _scope, ...more } of wanted) {
      const route: ResultRoute = { dst: dst.network, gw: GATEWAYS[family], ...more };
      const key = `${route.dst} ${more.priority} ${more.table}`;
      if (!routes.has(key)) routes.set(key, route);
    }
  }
  return [...routes.values()];
}

/** Builds the CNI result of a pod that is wired up. */
export function resultOf(podNetwork: PodNetwork): CniResult {
  const { hostName, podName, podLinkAddress, netns, mtu, dns } = podNetwork;
  const size = mtu === undefined ? {} : { mtu };
  return {
    interfaces: [
      { name: hostName, mac: HOST_LINK_ADDRESS, ...size },
      { name: podName, mac: podLinkAddress, ...size, sandbox: netns },
    ],
    ips: podNetwork.addresses.map((it) => {
      const gateway = podNetwork.subnetGateways.get(it);
      const ip = { address: Prefix.host(it), interface: 1 };
      return gateway === undefined ? ip : { ...ip, gateway };
    }),
    routes: routesOf(podNetwork),
    dns,
  };
}
