/**
 * A node as CNI leaves it: what its kernel and the network's folder have of pods, as sorted lines; and
 * the plugin called within this process, where a process for each call would take too long.
 */

import { isHalfMade } from "../../../cni/host_link.ts";
import type { PluginOutput } from "../../../cni/plugin.ts";
import { dumpLinks, parseLink } from "../../../lib/netlink/link/link.ts";
import { dumpNeighbours, parseNeighbour } from "../../../lib/netlink/neighbour/neighbour.ts";
import { dumpRoutes, parseRoute } from "../../../lib/netlink/route/route.ts";
import { NETLINK_ROUTE, openNetlinkSocket } from "../../../lib/netlink/socket.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { aliasOf } from "../../../lib/model/link_alias.ts";
import {
  addressesOf,
  type CniAnswer,
  type CniNetwork,
  type Container,
  type Fields,
} from "./cni_network.ts";
import type { ThreadCall } from "./plugin_thread.ts";

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

/** Made here: a test that makes a thread counts as leaking it. */
const pluginThread = new Worker(import.meta.resolve("./plugin_thread.ts"), { type: "module" });
let lastCall: Promise<unknown> = Promise.resolve();

/** Calls the plugin within this process, one call after the other. */
export async function callHere(
  network: CniNetwork,
  command: string,
  container: Container,
  fields: Fields = {},
): Promise<{ readonly code: number; readonly answer: CniAnswer }> {
  const stdin = JSON.stringify(network.configuration(fields));
  const outcome = lastCall.then(() =>
    callOnThread({ variables: network.environment(command, container), stdin })
  );
  lastCall = outcome.catch(() => {});
  const { exitCode, stdout } = await outcome;
  return { code: exitCode, answer: stdout === "" ? {} : JSON.parse(stdout) };
}

function callOnThread(call: ThreadCall): Promise<PluginOutput> {
  return new Promise((resolve, reject) => {
    pluginThread.onmessage = ({ data }) => resolve(data);
    pluginThread.onerror = ({ message }) => reject(new Error(message));
    pluginThread.postMessage(call);
  });
}

/** What GC is told: these containers live. */
export function validAttachments(...containers: readonly Container[]): Fields {
  return {
    "cni.dev/valid-attachments": containers.map(({ containerId }) => ({
      containerID: containerId,
      ifname: "eth0",
    })),
  };
}

/** An agent as the plugin meets it; it knows what it was told. */
export class StubAgent implements AsyncDisposable {
  readonly path: string = `${Deno.makeTempDirSync({ dir: "/run" })}/agent.sock`;
  /** Containers that it was told of and not yet to forget. */
  readonly known: Set<string> = new Set<string>();
  /** What else it says of a container: `namespace`, `pod`. */
  readonly details: Map<string, Fields> = new Map<string, Fields>();
  /** The interface that it was told last of a container. */
  readonly interfaces: Map<string, string> = new Map<string, string>();
  /** How it answers PUT; "breaks off" closes the connection instead. */
  answer: 200 | 400 | 409 | 504 | "breaks off" = 200;
  /** Whether it says that policy is in force, or why not. */
  ready: true | string = true;
  /** Called when PUT arrives, before it is answered. */
  onPut: () => void = () => {};
  /** Called with the container when DELETE arrives. */
  onDelete: (containerId: string) => void = () => {};
  readonly #listener: Deno.Listener<Deno.UnixConn>;

  constructor() {
    this.#listener = Deno.listen({ transport: "unix", path: this.path });
    this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#converse(connection).catch(() => {}); // who asked may be gone
    }
  }

  async #converse(connection: Deno.UnixConn): Promise<void> {
    using _open = connection;
    const buffer = new Uint8Array(4096);
    let text = "";
    while (!isWhole(text)) {
      const length = await connection.read(buffer);
      if (length === null) return;
      text += new TextDecoder().decode(buffer.subarray(0, length));
    }
    const [, method, containerId = ""] = /^(\w+) \/v1\/endpoints\/([^/]+)/.exec(text) ?? [];
    if (method === "DELETE") {
      this.known.delete(containerId);
      this.onDelete(containerId);
    }
    if (method === "PUT") {
      if (this.answer !== 400 && this.answer !== 409) this.known.add(containerId);
      const { interface: name } = JSON.parse(text.slice(text.indexOf("\r\n\r\n")));
      this.interfaces.set(containerId, String(name));
      this.onPut();
    }
    if (method === "PUT" && this.answer === "breaks off") return;
    const status = method === "PUT" ? Number(this.answer) : 200;
    const body = JSON.stringify(status === 200 ? this.#endpoints : { error: "not yet" });
    await connection.write(
      new TextEncoder().encode(
        `HTTP/1.0 ${status} x\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      ),
    );
  }

  get #endpoints(): Fields {
    return {
      ready: this.ready,
      endpoints: Array.from(this.known, (containerID) => ({
        containerID,
        ifname: "eth0",
        enforced: true,
        ...this.details.get(containerID),
      })),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    return Deno.remove(this.path).catch(() => {});
  }
}

function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  const [, length = "0"] = /content-length: (\d+)/.exec(text) ?? [];
  return end >= 0 && text.length >= end + 4 + Number(length);
}
