/**
 * A node as CNI leaves it: what its kernel and the network's folder have of pods, as sorted lines. What
 * `ip` says of it is the second opinion.
 */

import { isHalfMade } from "../../../cni/host_link.ts";
import { dumpLinks, parseLink } from "../../../lib/netlink/link/link.ts";
import { dumpNeighbours, parseNeighbour } from "../../../lib/netlink/neighbour/neighbour.ts";
import { dumpRoutes, parseRoute } from "../../../lib/netlink/route/route.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { aliasOf } from "../../../lib/model/link_alias.ts";
import { addressesOf, type CniAnswer, type Fields } from "./call.ts";
import type { CniNetwork } from "./cni_network.ts";
import type { Container } from "./container.ts";

/** Files that every network's folder has, used or not; a lock is not one that is left. */
const LASTING = /^(lock|\.calyx|last_reserved_ip\.\d+)$/;
/** RT_TABLE_MAIN, <linux/rtnetlink.h>. */
const MAIN = 254;

/** What the node has of pods: links, routes, neighbours, and files of `network`. */
export function readNode(network: CniNetwork): string[] {
  using socket = openNetlinkSocket(NETLINK_ROUTE);
  const links = socket.dump(dumpLinks()).map(parseLink).filter((it) => it.name.startsWith("cali"));
  const names = new Map(links.map((it) => [it.index, it.name]));
  const routes = ([4, 6] as const).flatMap((it) => socket.dump(dumpRoutes(it)).map(parseRoute))
    .filter((it) => it.table === MAIN && !String(it.destination).startsWith("fe80"));
  const neighbours = socket.dump(dumpNeighbours()).map(parseNeighbour).filter((it) => it.permanent);
  const hostOf = (text: string): string => text.replace(/\/(32|128)$/, "");
  return [
    ...links.map((it) => `link ${it.name} ${isHalfMade(it) ? "half made" : it.alias}`),
    ...routes.filter((it) => names.has(it.index ?? 0))
      .map((it) => `route ${hostOf(String(it.destination))} ${names.get(it.index ?? 0)}`),
    ...neighbours.filter((it) => names.has(it.index))
      .map((it) => `neighbour ${it.address} ${names.get(it.index)}`),
    ...readFolder(`${network.dataDir}/net1`),
  ].sort();
}

function readFolder(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].filter((it) => !LASTING.test(it.name)).map((it) =>
      it.isFile
        ? `file ${it.name} ${Deno.readTextFileSync(`${folder}/${it.name}`).replace("\r\n", "/")}`
        : `no file ${it.name}`
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** What the node has of one pod that ADD answered `answer` for. */
export function expectedOf({ containerId, pod = "" }: Container, answer: CniAnswer): string[] {
  const name = interfaceNameOf("default", pod);
  const id = { network: "net1", containerId, ifname: "eth0" };
  return [
    `link ${name} ${aliasOf(id, { namespace: "default", name: pod })}`,
    ...addressesOf(answer).flatMap((it) => [
      `route ${it} ${name}`,
      `neighbour ${it} ${name}`,
      `file ${it} ${containerId}/eth0`,
    ]),
  ];
}

/** What `ip` says of the node. */
export function nodeIp(...args: readonly string[]): Fields[] {
  const options = { args: ["-d", "-j", ...args], stdin: "null" as const };
  const { success, stdout, stderr } = new Deno.Command("ip", options).outputSync();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  const text = new TextDecoder().decode(stdout).trim();
  return text === "" ? [] : JSON.parse(text);
}

/** Names of the pods' interfaces on the node. */
export function nodeLinks(): string[] {
  return nodeIp("link").map((it) => String(it.ifname)).filter((it) => it.startsWith("cali")).sort();
}

/** What is on the node for pods: interfaces, and routes of both families by them. */
export function nodeState(): string[] {
  const routes = [...nodeIp("route"), ...nodeIp("-6", "route")]
    .filter((it) => String(it.dev).startsWith("cali") && !String(it.dst).startsWith("fe80"));
  return [...nodeLinks(), ...routes.map((it) => `${it.dst} ${it.dev}`).sort()];
}
