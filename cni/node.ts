/**
 * What the plugin has to know of the node that it runs on: pod CIDRs and MTU. The agent says it; where
 * no agent is configured, the API server does, and only then is any of that code loaded.
 */

import type { AgentNode } from "../lib/agent_api/node.ts";
import { Prefix } from "../lib/ip/prefix.ts";
import { AgentClient, AgentError } from "./agent_client.ts";
import type { PluginSettings } from "./protocol/configuration.ts";
import { CniError } from "./protocol/error.ts";

/** The node, asked at most once and only for what is needed. */
export class NodeFacts {
  readonly #settings: PluginSettings;
  #node: AgentNode | undefined;

  constructor(settings: PluginSettings) {
    this.#settings = settings;
  }

  /**
   * The node's pod CIDRs.
   *
   * @throws {CniError} code 11 if neither agent nor API server answers
   */
  async podCidrs(): Promise<readonly Prefix[]> {
    const { agentSocket } = this.#settings;
    if (agentSocket !== undefined) return this.#nodeOf(agentSocket).podCidrs;
    const { readPodCidrs } = await import("./node_api.ts");
    const answer = await readPodCidrs(this.#settings);
    if ("podCidrs" in answer) return answer.podCidrs.map(Prefix.parse);
    const { code, message, details, cause } = answer.problem;
    throw new CniError(code, message, { cause, ...(details === undefined ? {} : { details }) });
  }

  /**
   * The MTU of the pod's interface: configured, or the agent's; `undefined` = the kernel's default.
   *
   * @throws {CniError} code 11 if the agent does not answer
   */
  mtu(): number | undefined {
    const { mtu, agentSocket } = this.#settings;
    if (mtu !== undefined || agentSocket === undefined) return mtu;
    return this.#nodeOf(agentSocket).mtu;
  }

  /**
   * Asks for nothing but an answer, where an agent is configured.
   *
   * @throws {CniError} code 11 if it does not answer
   */
  requireAgent(): void {
    const { agentSocket } = this.#settings;
    if (agentSocket !== undefined) this.#askAgent(agentSocket);
  }

  /** The agent's answer; if pods may start without an agent and it does not answer, its node.json. */
  #nodeOf(path: string): AgentNode {
    const { startsClosed } = this.#settings;
    try {
      return this.#askAgent(path);
    } catch (error) {
      this.#node = startsClosed ? new AgentClient(path).rememberedNode() : undefined;
      if (this.#node === undefined) throw error;
      return this.#node;
    }
  }

  #askAgent(path: string): AgentNode {
    try {
      return this.#node ??= new AgentClient(path).node();
    } catch (error) {
      if (!(error instanceof AgentError)) throw error;
      throw new CniError("tryAgainLater", error.message, { cause: error });
    }
  }
}
