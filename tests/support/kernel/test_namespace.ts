/** A network namespace for the length of a test, with a socket of its own and `ip` as the oracle. */

import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import {
  createNamespace,
  deleteNamespace,
  openNamespace,
  withNamespace,
} from "../../../lib/kernel/namespace.ts";
import { deletePairs } from "./remove_namespace.ts";
import {
  NETLINK_ROUTE,
  type NetlinkSocket,
  openNetlinkSocket,
} from "../../../lib/netlink/socket.ts";

/** A new namespace under `/run/netns`, where `ip -n` finds it; disposing it deletes it. */
export class TestNamespace implements Disposable {
  /** Of its own, so that one that a failed test leaves is in no other's way. */
  readonly name: string = `test-${crypto.randomUUID().slice(0, 8)}`;
  readonly path: string = `/run/netns/${this.name}`;
  readonly namespace: Descriptor;
  /** An rtnetlink socket in there. */
  readonly route: NetlinkSocket;

  constructor() {
    createNamespace(this.path);
    this.namespace = openNamespace(this.path);
    this.route = withNamespace(this.namespace, () => openNetlinkSocket(NETLINK_ROUTE));
  }

  /** Runs `ip` in there and parses the JSON that it prints. */
  ip(...args: string[]): Record<string, unknown>[] {
    const command = new Deno.Command("ip", { args: ["-n", this.name, "-d", "-j", ...args] });
    const { success, stdout, stderr } = command.outputSync();
    const text = new TextDecoder().decode(stdout);
    if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    return text.trim() === "" ? [] : JSON.parse(text);
  }

  /** Closes the socket and deletes the namespace, with its pairs at once. */
  [Symbol.dispose](): void {
    deletePairs(this.route);
    this.route[Symbol.dispose]();
    this.namespace[Symbol.dispose]();
    deleteNamespace(this.path);
  }
}
