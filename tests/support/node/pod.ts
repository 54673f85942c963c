/** A pod of a test node: a container that the compiled plugin attaches, with the agent's policy. */

import { callPlugin, type CniAnswer, type CniOutcome, environmentOf } from "../plugin/call.ts";
import { TestContainer } from "../plugin/container.ts";
import { AGENT_SOCKET } from "./agent_client.ts";

/** As `deploy/cni` has it, for both families. */
const CONFIGURATION = {
  cniVersion: "1.0.0",
  name: "calyx",
  type: "calyx",
  agent_socket: AGENT_SOCKET,
  policy_setup_timeout_seconds: 120, // the longest: a busy machine is late
  ipam: {
    type: "host-local",
    dataDir: "/run/cni/networks",
    ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]],
  },
};

/** A pod's network namespace, until it is disposed of. */
export class TestPod extends TestContainer {
  /** The pod's name. */
  readonly name: string;
  /** What ADD gave it: IPv4 first, then IPv6. */
  addresses: readonly string[] = [];
  /** How long the last call of the plugin took. */
  callMs = 0;

  /** Makes the namespace; nothing is attached yet. */
  constructor(namespace: string, name: string) {
    super(`${name}-${crypto.randomUUID().slice(0, 8)}`, name, undefined, namespace);
    this.name = name;
  }

  /** @throws {Error} with what ADD said, if it failed */
  async attach(): Promise<void> {
    const { ips = [] } = await this.#succeed("ADD");
    this.addresses = ips.map((it) => it.address.replace(/\/\d+$/, ""));
  }

  /** @throws {Error} with what DEL said, if it failed */
  async detach(): Promise<void> {
    await this.#succeed("DEL");
  }

  /** Calls the plugin, which may fail. */
  async call(command: "ADD" | "DEL" | "CHECK"): Promise<CniOutcome> {
    const call = {
      env: environmentOf(command, this, "/opt/cni/bin"),
      stdin: JSON.stringify(CONFIGURATION),
    };
    const outcome = await callPlugin(undefined, call);
    this.callMs = outcome.durationMs;
    return outcome;
  }

  async #succeed(command: "ADD" | "DEL"): Promise<CniAnswer> {
    const { code, answer, stdout, stderr } = await this.call(command);
    if (code === 0) return answer;
    throw new Error(`calyx ${command} of ${this.name} failed: ${stdout}${stderr}`);
  }
}
