/** A pod without a container: a network namespace, attached by the compiled plugin. */

import { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { createNamespace, openNamespace } from "../../../lib/kernel/namespace.ts";
import { callPlugin } from "../plugin/plugin.ts";
import { removeNamespace } from "../kernel/remove_namespace.ts";

/** A pod's network namespace under /run/netns, until it is disposed of. */
export class TestPod implements Disposable {
  readonly name: string;
  readonly namespaceName: string;
  readonly containerId: string;
  readonly path: string;
  readonly namespace: Descriptor;
  /** What ADD gave it: IPv4 first, then IPv6. */
  addresses: readonly string[] = [];
  /** How long the last call of the plugin took. */
  callMs = 0;

  /** Makes the namespace; nothing is attached yet. */
  constructor(namespace: string, name: string) {
    this.name = name;
    this.namespaceName = namespace;
    this.containerId = `${name}-${crypto.randomUUID().slice(0, 8)}`;
    this.path = `/run/netns/${this.containerId}`;
    createNamespace(this.path);
    this.namespace = openNamespace(this.path);
  }

  /** Calls ADD. */
  async attach(): Promise<void> {
    const stdout = await this.#call("ADD");
    const result: { ips?: { address: string }[] } = JSON.parse(stdout);
    this.addresses = (result.ips ?? []).map((it) => it.address.replace(/\/\d+$/, ""));
  }

  /** Calls DEL. */
  async detach(): Promise<void> {
    await this.#call("DEL");
  }

  [Symbol.dispose](): void {
    this.namespace[Symbol.dispose]();
    removeNamespace(this.path);
  }

  async #call(command: "ADD" | "DEL"): Promise<string> {
    const { code, stdout, stderr, durationMs } = await callPlugin(
      command,
      this,
      this.namespaceName,
    );
    this.callMs = durationMs;
    if (code !== 0) throw new Error(`calyx ${command} of ${this.name} failed: ${stdout}${stderr}`);
    return stdout;
  }
}
