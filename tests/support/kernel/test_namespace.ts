/** A network namespace for the length of a test, with a socket of its own and `ip` as the oracle. */

import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import {
  createNamespace,
  deleteNamespace,
  openNamespace,
  withNamespace,
} from "../../../lib/kernel/namespace.ts";
import { deleteLink, dumpLinks, parseLink } from "../../../lib/netlink/link/link.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";

/** A new namespace under `/run/netns`, where `ip -n` finds it; disposing it deletes it. */
export class TestNamespace implements Disposable {
  /** Of its own, so that one that a failed test leaves is in no other's way. */
  readonly netnsName: string = `test-${crypto.randomUUID().slice(0, 8)}`;
  readonly path: string = `/run/netns/${this.netnsName}`;
  readonly namespace: Descriptor;
  /** An rtnetlink socket in there. */
  readonly route: NetlinkSocket;
  #isThere = true;

  constructor() {
    createNamespace(this.path);
    this.namespace = openNamespace(this.path);
    this.route = withNamespace(this.namespace, () => openNetlinkSocket(NETLINK_ROUTE));
  }

  /** Runs `ip` in there and parses the JSON that it prints. */
  ip(...args: string[]): Record<string, unknown>[] {
    const command = new Deno.Command("ip", { args: ["-n", this.netnsName, "-d", "-j", ...args] });
    const { success, stdout, stderr } = command.outputSync();
    const text = new TextDecoder().decode(stdout);
    if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return text.trim() === "" ? [] : JSON.parse(text);
  }

  /** Closes the socket and deletes the namespace, with its pairs at once; a second time does nothing. */
  [Symbol.dispose](): void {
    if (!this.#isThere) return;
    this.#isThere = false;
    deletePairs(this.route);
    this.route[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
    deleteNamespace(this.path);
  }
}

/**
 * Deletes the pairs of the namespace that `route` was opened in, on both sides, at once. When only the
 * namespace's name goes, the kernel dissolves it later, in one worker for the whole machine
 * (`cleanup_net()`, net/core/net_namespace.c): on a busy one the host's ends of its pairs are still there
 * when the next test looks.
 */
function deletePairs(route: NetlinkSocket): void {
  const pairs = route.dump(dumpLinks()).map(parseLink).filter((it) => it.kind === "veth");
  route.pipeline(pairs.map(({ index }) => deleteLink({ index }))); // one may have gone by itself
}
