/**
 * What a pod says of link addresses, to the node that it is on: frames that only NET_RAW lets a pod
 * send, by which it would have the node learn neighbours, in a table that the whole kernel shares.
 */

import { assert, assertEquals } from "@std/assert";
import type { Bytes } from "../../../lib/base/bytes.ts";
import { Address } from "../../../lib/ip/address.ts";
import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { openCurrentNamespace } from "../../../lib/kernel/namespace.ts";
import { libc } from "../../../lib/kernel/symbols.ts";
import { dumpNeighbours, parseNeighbour } from "../../../lib/netlink/neighbour/neighbour.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { GATEWAYS, HOST_LINK_ADDRESS, linkLocalOf } from "../../../cni/plan.ts";
import { addressesOf } from "../../support/plugin/call.ts";
import { CniNetwork } from "../../support/plugin/cni_network.ts";
import { nodeIp, nodeState } from "../../support/plugin/cni_node.ts";
import { TestContainer } from "../../support/plugin/container.ts";
import { requireIsolation } from "../../support/isolation/isolation.ts";
import { arp, icmpv6, PacketSocket, solicitedNodeOf } from "../../support/packet/packet_socket.ts";
import { probeAll } from "../../support/packet/probe.ts";
import { TestNamespace } from "../../support/kernel/test_namespace.ts";

libc(); // loaded here: a test that loads a library counts as leaking it

/** How many addresses a flood has: fewer than make the kernel tidy up, which all machines' links share. */
const SENDERS = 100;

/** From here on is what the test sends; no interface has this address. */
const FROM = "02:00:00:00:00:77";
const GATEWAY = GATEWAYS[6];

/** A node with a pod, and with a neighbour that it has not spoken to yet. */
class Scene implements Disposable {
  readonly network = new CniNetwork();
  readonly pod = new TestContainer("pod");
  readonly neighbour = new TestNamespace();

  constructor() {
    const { netnsName: name } = this.neighbour;
    nodeIp("link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", name);
    nodeIp("link", "set", "up0", "up");
    this.neighbour.ip("link", "set", "eth0", "up");
    for (const [at, prefix, ...more] of [["192.0.2.", "24"], ["2001:db8::", "64", "nodad"]]) {
      nodeIp("addr", "add", `${at}1/${prefix}`, "dev", "up0", ...more);
      this.neighbour.ip("addr", "add", `${at}2/${prefix}`, "dev", "eth0", ...more);
    }
  }

  [Symbol.dispose](): void {
    nodeIp("link", "del", "up0");
    for (const it of [this.neighbour, this.pod, this.network]) it[Symbol.dispose]();
  }
}

/** What pods send, from the nth address. */
const FLOODS: Readonly<Record<string, (n: number) => Bytes>> = {
  "ARP requests for the node's address": (n) =>
    arp({
      operation: "request",
      from: FROM,
      sender: Address.parse(`10.9.1.${n}`),
      target: Address.parse("192.0.2.1"),
    }),
  "ARP requests from the node's own network": (n) =>
    arp({
      operation: "request",
      from: FROM,
      sender: Address.parse(`192.0.2.${n + 2}`),
      target: Address.parse("192.0.2.1"),
    }),
  "gratuitous ARP requests": (n) => gratuitous("request", Address.parse(`10.9.2.${n}`)),
  "gratuitous ARP replies": (n) => gratuitous("reply", Address.parse(`10.9.3.${n}`)),
  "solicitations of the gateway": (n) =>
    discovery("neighbourSolicitation", Address.parse(`fe80::1:${n}`), GATEWAY, GATEWAY),
  "multicast solicitations of the gateway": (n) =>
    discovery(
      "neighbourSolicitation",
      Address.parse(`fe80::2:${n}`),
      solicitedNodeOf(GATEWAY),
      GATEWAY,
    ),
  "solicitations from global addresses": (n) =>
    discovery("neighbourSolicitation", Address.parse(`2001:db8:1::${n}`), GATEWAY, GATEWAY),
  "solicitations of the node's address": (n) => {
    const node = Address.parse("2001:db8::1");
    return discovery("neighbourSolicitation", Address.parse(`fe80::3:${n}`), node, node);
  },
  "advertisements to the gateway": (n) => {
    const source = Address.parse(`fe80::4:${n}`);
    return discovery("neighbourAdvertisement", source, GATEWAY, source);
  },
  "advertisements to all": (n) => {
    const source = Address.parse(`2001:db8:2::${n}`);
    return discovery("neighbourAdvertisement", source, Address.parse("ff02::1"), source);
  },
};

function gratuitous(operation: "request" | "reply", sender: Address): Bytes {
  return arp({ operation, from: FROM, sender, target: sender });
}

function discovery(
  type: "neighbourSolicitation" | "neighbourAdvertisement",
  source: Address,
  destination: Address,
  target: Address,
): Bytes {
  return icmpv6({ type, from: FROM, to: toOf(destination), source, destination, target });
}

/** The link address of a multicast address (RFC 2464, section 7), or the gateway's. */
function toOf({ bytes }: Address): string {
  if (bytes[0] !== 0xff) return HOST_LINK_ADDRESS;
  return ["33", "33", ...Array.from(bytes.subarray(12), (it) => it.toString(16))].join(":");
}

/** What the node has learned on a link: beside what it was told for good, and its multicast groups. */
function learnedOn(index: number): string[] {
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  return socket.dump(dumpNeighbours()).map(parseNeighbour)
    .filter((it) => it.index === index && !it.permanent && !/^(ff|22)/.test(String(it.address)))
    .map((it) => `${it.address} ${it.linkAddress} ${it.state.toString(16)}`);
}

/** Whether each address answers, by refusing, out of the namespace `from`, or out of the node. */
async function refused(addresses: readonly string[], from?: Descriptor): Promise<boolean> {
  using own = openCurrentNamespace();
  const namespace = from ?? own;
  const probes = addresses.map((address) => ({
    namespace,
    protocol: "TCP" as const,
    address,
    port: 9,
  }));
  return (await probeAll(probes, 10_000)).every((it) => it === "ECONNREFUSED");
}

Deno.test("a pod's ARP and neighbour discovery teach its node nothing", async () => {
  requireIsolation();
  using scene = new Scene();
  const { network, pod } = scene;
  const prevResult = await network.add(pod);
  const hostLink = Number(nodeIp("link", "show", pod.hostName)[0]?.ifindex);
  const podLink = Number(pod.ip("link", "show", "eth0")[0]?.ifindex);
  // Its kernel asks for routers, once or a few times: that is one entry, and packet filters' matter.
  const own = linkLocalOf(String(pod.ip("link", "show", "eth0")[0]?.address));
  using socket = new PacketSocket(pod.namespace, podLink);
  for (const [what, frameOf] of Object.entries(FLOODS)) {
    for (let n = 1; n <= SENDERS; n++) socket.send(frameOf(n));
    assertEquals(learnedOn(hostLink).filter((it) => !it.startsWith(`${own} `)), [], what);
  }
  assert(await refused(["192.0.2.2", "2001:db8::2"]), "the node finds its own neighbour");
  assert(await refused(addressesOf(prevResult)), "the node reaches the pod");
  assert(await refused(["192.0.2.1", "2001:db8::1"], pod.namespace), "the pod reaches the node");
  const permanent = [...nodeIp("neigh", "show", "dev", pod.hostName)].map((it) =>
    `${it.dst} ${it.lladdr} ${it.state}`
  );
  const mac = pod.ip("link", "show", "eth0")[0]?.address;
  assertEquals(permanent, addressesOf(prevResult).map((it) => `${it} ${mac} PERMANENT`));
  const { code, stdout } = await network.call("CHECK", pod, { fields: { prevResult } });
  assertEquals(code, 0, stdout);
  await network.call("DEL", pod);
  assertEquals(nodeState(), []);
});
