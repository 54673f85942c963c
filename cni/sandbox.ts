/**
 * The pod's network namespace and the node's, each by a socket of its own, and the steps of a plan
 * carried out on them. Steps that follow each other on one side go to the kernel together.
 */

import { AssertionError } from "../lib/base/assert.ts";
import { FAMILIES } from "../lib/ip/address.ts";
import type { Prefix } from "../lib/ip/prefix.ts";
import type { Descriptor } from "../lib/kernel/descriptor.ts";
import { KernelError } from "../lib/kernel/errno.ts";
import {
  namespaceIdentity,
  openCurrentNamespace,
  openNamespace,
  withNamespace,
} from "../lib/kernel/namespace.ts";
import { readSysctl, writeSysctl } from "../lib/kernel/sysctl.ts";
import { attachmentOf, isOurAlias } from "../lib/model/link_alias.ts";
import { addAddress, dumpAddresses, parseAddress } from "../lib/netlink/address/address.ts";
import { isExists, NetlinkError } from "../lib/netlink/error.ts";
import {
  addVeth,
  dumpLinks,
  getLink,
  type Link,
  parseLink,
  setLink,
} from "../lib/netlink/link/link.ts";
import type { Request } from "../lib/netlink/message.ts";
import { addNeighbour } from "../lib/netlink/neighbour/neighbour.ts";
import { addRoute, dumpRoutes, parseRoute } from "../lib/netlink/route/route.ts";
import { NETLINK_ROUTE, type NetlinkSocket, openNetlinkSocket } from "../lib/netlink/socket.ts";
import { deleteLinkIfThere, findLink } from "./host_link.ts";
import type { Side, Step } from "./plan.ts";
import type { CallEnvironment } from "./protocol/environment.ts";
import { CniError } from "./protocol/error.ts";

/** The loopback's index: the first link of every namespace, `LOOPBACK_IFINDEX`, <net/flow.h>. */
const LOOPBACK_INDEX = 1;

/** Indexes of both ends of the pair. */
type PairIndexes = Readonly<Record<Side, number>>;

/** Both sides of a pod's podNetwork, open. */
export class Sandbox implements Disposable {
  readonly host: NetlinkSocket;
  readonly pod: NetlinkSocket;
  readonly #namespace: Descriptor;

  private constructor(namespace: Descriptor) {
    this.#namespace = namespace;
    this.host = openNetlinkSocket(NETLINK_ROUTE);
    this.pod = withNamespace(namespace, () => openNetlinkSocket(NETLINK_ROUTE));
  }

  /**
   * Opens the namespace of the call.
   *
   * @throws {CniError} code 8 if there is none at that path, it is our own, or we may not enter it
   */
  static open({ netns, allowOwnNamespace }: CallEnvironment): Sandbox {
    const namespace = openPodNamespace(netns);
    try {
      if (!allowOwnNamespace && isOwnNamespace(namespace)) throw ownNamespaceError(netns);
      return new Sandbox(namespace);
    } catch (error) {
      namespace[Symbol.dispose]();
      if (!(error instanceof KernelError)) throw error;
      throw new CniError(
        "invalidNamespace",
        `Cannot work in CNI_NETNS ${netns}: ${error.message}`,
        {
          details: "The plugin has to run as root",
          cause: error,
        },
      );
    }
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
    this.pod[Symbol.dispose]();
    this.#namespace[Symbol.dispose]();
  }

  /**
   * The pod's link of this name; `undefined` if there is none. A pod has few links, and to read all of
   * them costs less than to be refused one: the first error object of a process takes milliseconds.
   */
  findPodLink(name: string): Link | undefined {
    return this.pod.dump(dumpLinks()).map(parseLink).find((it) => it.name === name);
  }

  /**
   * Carries out `steps` in their order; at the first that fails it stops and deletes the pair.
   *
   * @throws {NetlinkError | KernelError | CniError} if the kernel refuses one, or the node has an
   * address of the pod itself
   */
  wire(steps: readonly Step[]): void {
    this.#refuseOwnAddresses(steps);
    let indexes: PairIndexes = { host: 0, pod: 0 };
    try {
      for (const run of runsOf(steps)) {
        const [first] = run;
        if (first.kind === "pair") indexes = this.#makePair(first);
        else if (first.kind === "sysctl") this.#setSysctls(first.side, run);
        else this.#send(sideOf(first), run, indexes);
      }
      this.#settle(indexes);
    } catch (error) {
      // By its index: without our alias, which it may not have yet, a later DEL or GC would not find it.
      if (indexes.host !== 0) deleteLinkIfThere(this.host, indexes.host);
      throw error;
    }
  }

  /**
   * Asks for both ends, one by one: since Linux 6.8 that makes the kernel notice at once that they have
   * a carrier (net/core/rtnetlink.c, rtnl_getlink). By itself, and on older kernels, it takes up to a
   * second to show it; packets pass meanwhile.
   */
  #settle({ host, pod }: PairIndexes): void {
    this.host.request(getLink({ index: host }));
    this.pod.request(getLink({ index: pod }));
  }

  #makePair(step: Step & { readonly kind: "pair" }): PairIndexes {
    const size = step.mtu === undefined ? {} : { mtu: step.mtu };
    const [reply] = this.host.request(addVeth({
      name: step.hostName,
      address: step.hostLinkAddress,
      ...size,
      peer: {
        name: step.podName,
        address: step.podLinkAddress,
        namespaceFd: this.#namespace.fd,
        ...size,
      },
    }));
    const host = reply === undefined ? findLink(this.host, step.hostName) : parseLink(reply);
    const pod = this.findPodLink(step.podName);
    if (host !== undefined && pod !== undefined) return { host: host.index, pod: pod.index };
    if (host !== undefined) deleteLinkIfThere(this.host, host.index);
    throw new CniError("networkFailed", `Pair ${step.hostName} vanished while it was made`);
  }

  #setSysctls(side: Side, steps: readonly Step[]): void {
    if (side === "host") steps.forEach(setSysctl);
    else withNamespace(this.#namespace, () => steps.forEach(setSysctl));
  }

  #send(side: Side, steps: readonly Step[], indexes: PairIndexes): void {
    const results = this[side].pipeline(steps.map((it) => requestOf(it, indexes)));
    results.forEach((result, index) => {
      if (!(result instanceof NetlinkError)) return;
      const step = steps[index];
      if (step?.kind === "route" && isExists(result)) this.#explainConflict(side, step.destination);
      throw result;
    });
  }

  /** Packets to the node's own address never leave it, yet the kernel accepts such an address for a pod. */
  #refuseOwnAddresses(steps: readonly Step[]): void {
    const wanted = steps.flatMap((it) =>
      it.kind === "route" && it.side === "host" ? [it.destination.address] : []
    );
    const own = FAMILIES.filter((family) => wanted.some((it) => it.family === family))
      .flatMap((family) => this.host.dump(dumpAddresses(family)).map(parseAddress))
      .find((it) => wanted.some((address) => String(address) === String(it.prefix.address)));
    if (own === undefined) return;
    const { prefix, index } = own;
    throw new CniError(
      "networkFailed",
      `Address ${prefix.address} is the node's own, on ${this.#describeLink("host", index)}`,
      { details: "IPAM must not give it to a pod: leave it out of the ranges" },
    );
  }

  /** @throws {CniError} naming the interface that has a route to the address already */
  #explainConflict(side: Side, destination: Prefix): void {
    const routes = this[side].dump(dumpRoutes(destination.address.family)).map(parseRoute);
    const conflict = routes.find((it) => String(it.destination) === String(destination));
    if (conflict === undefined) return;
    const where = side === "host" ? "on the node" : "in the pod";
    const owner = conflict.index === undefined
      ? "by no interface"
      : `by ${this.#describeLink(side, conflict.index)}`;
    throw new CniError(
      "networkFailed",
      `Route ${destination} exists already ${where}, ${owner}`,
      { details: `If nothing needs it any more: ip route delete ${destination}` },
    );
  }

  /** A link's name, and the container that it belongs to where it is one of ours. */
  #describeLink(side: Side, index: number): string {
    const link = this[side].dump(dumpLinks()).map(parseLink).find((it) => it.index === index);
    if (link === undefined) return `the link with index ${index}`;
    const owner = isOurAlias(link.alias) ? attachmentOf(link.alias ?? "") : undefined;
    return owner === undefined ? link.name : `${link.name} of container ${owner.containerId}`;
  }
}

/**
 * Asserts that the path of a call that only takes away (DEL) is not our own namespace; one that is
 * empty or gone is fine.
 *
 * @throws {CniError} code 8 if it is
 */
export function refuseOwnNamespace({ netns, allowOwnNamespace }: CallEnvironment): void {
  if (netns === "" || allowOwnNamespace) return;
  let namespace: Descriptor;
  try {
    namespace = openNamespace(netns);
  } catch (error) {
    if (error instanceof KernelError) return;
    throw error;
  }
  using _open = namespace;
  if (isOwnNamespace(namespace)) throw ownNamespaceError(netns);
}

function openPodNamespace(path: string): Descriptor {
  try {
    return openNamespace(path);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new CniError("invalidNamespace", `No network namespace at CNI_NETNS: ${error.message}`, {
      cause: error,
    });
  }
}

function isOwnNamespace(namespace: Descriptor): boolean {
  using own = openCurrentNamespace();
  return namespaceIdentity(namespace) === namespaceIdentity(own);
}

function ownNamespaceError(netns: string): CniError {
  return new CniError(
    "invalidNamespace",
    `CNI_NETNS ${netns} is the plugin's own network namespace`,
    { details: "CNI_NETNS_OVERRIDE=1 allows it" },
  );
}

/** The kernel's errors if `/proc/sys` is mounted read-only, or belongs to another user namespace. */
const NOT_WRITABLE: readonly string[] = ["EROFS", "EACCES", "EPERM"];

/** @throws {KernelError | CniError} if the parameter cannot be set and its current value does not do */
function setSysctl(step: Step): void {
  if (step.kind !== "sysctl") return;
  const { key, value, optional, tolerated } = step;
  try {
    writeSysctl(key, value);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (optional && error.code === "ENOENT") return;
    if (!NOT_WRITABLE.includes(error.code)) throw error;
    const actual = readSysctl(key);
    if (actual === value || tolerated.includes(actual)) return;
    const where = step.side === "host" ? "on the node" : "in the pod";
    throw new CniError(
      "networkFailed",
      `/proc/sys/${key} is ${actual} ${where}, has to be ${value}, and cannot be written: ${error.code}`,
      { details: `Let the plugin write to /proc/sys, or set ${key} to ${value}`, cause: error },
    );
  }
}

/** Consecutive steps on one side that are sent the same way. */
function runsOf(steps: readonly Step[]): [Step, ...Step[]][] {
  const runs: [Step, ...Step[]][] = [];
  for (const step of steps) {
    const last = runs.at(-1);
    if (last !== undefined && wayOf(last[0]) === wayOf(step)) last.push(step);
    else runs.push([step]);
  }
  return runs;
}

function wayOf(step: Step): string {
  const way = step.kind === "pair" || step.kind === "sysctl" ? step.kind : "netlink";
  return `${way} ${sideOf(step)}`;
}

function sideOf(step: Step): Side {
  if (step.kind === "pair" || step.kind === "alias" || step.kind === "noArp") return "host";
  return step.kind === "address" ? "pod" : step.side;
}

function requestOf(step: Step, indexes: PairIndexes): Request {
  const index = indexes[sideOf(step)];
  switch (step.kind) {
    case "alias":
      return setLink({ index, alias: step.text });
    case "noArp":
      return setLink({ index, noArp: true });
    case "up":
      return setLink({ index: step.link === "loopback" ? LOOPBACK_INDEX : index, up: true });
    case "address":
      return addAddress({ index, prefix: step.prefix, noDad: true });
    case "neighbour": {
      const { address, linkAddress } = step;
      // The kernel may have created a neighbour for the address itself already.
      return addNeighbour({ index, address, linkAddress, replace: true });
    }
    case "route": {
      const { destination, gateway, more } = step;
      return addRoute({
        destination: destination.length === 0 ? "default" : destination,
        family: destination.address.family,
        index,
        ...(gateway === undefined ? {} : { gateway }),
        ...more,
      });
    }
    case "pair":
    case "sysctl":
      throw new AssertionError(`A step "${step.kind}" is no request`);
  }
}
