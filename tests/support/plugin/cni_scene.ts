/**
 * A node on which something goes wrong with one pod, while another one must not be harmed: a network
 * with an agent, the plugin called within this process, and what is there compared with what should be.
 */

import { assertEquals } from "@std/assert";
import { type CniAnswer, type Fields } from "./call.ts";
import { CniNetwork } from "./cni_network.ts";
import { type Container, TestContainer } from "./container.ts";
import { callHere } from "./call_here.ts";
import { validAttachments } from "./cni_network.ts";
import { expectedOf, readNode } from "./cni_node.ts";
import { StubAgent } from "./stub_agent.ts";

/** The pods, the network and the agent of one scene. */
export class CniScene implements AsyncDisposable {
  readonly agent: StubAgent = new StubAgent();
  readonly network: CniNetwork = new CniNetwork({ agent_socket: this.agent.path, mtu: 1400 });
  readonly bystander: TestContainer = new TestContainer("bystander");
  readonly #living: TestContainer[] = [];
  #expected: readonly string[] = [];

  /** Makes it, with the pod attached; or of a network that never had one. */
  static async open({ isNew = false } = {}): Promise<CniScene> {
    const scene = new CniScene();
    if (isNew) return scene;
    try {
      scene.#living.push(scene.bystander);
      scene.#expected = expectedOf(scene.bystander, await scene.add(scene.bystander)).sort();
      scene.assertClean("the scene");
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose](); // or the next scene would find it
      throw error;
    }
  }

  /** ADD within this process, which must succeed. */
  async add(container: Container): Promise<CniAnswer> {
    const { code, answer } = await this.call("ADD", container);
    assertEquals(code, 0, JSON.stringify(answer));
    return answer;
  }

  /** Calls the plugin within this process. */
  async call(
    command: string,
    container: Container,
    fields?: Fields,
  ): Promise<{ readonly code: number; readonly answer: CniAnswer }> {
    return await callHere(this.network, command, container, fields);
  }

  /** The valid attachments for GC: those of the living containers. */
  get valid(): Fields {
    return validAttachments(...this.#living);
  }

  /** GC of everybody else. */
  async collect(): Promise<void> {
    const { code, answer } = await this.call("GC", this.bystander, this.valid);
    assertEquals(code, 0, JSON.stringify(answer));
  }

  /** Asserts that there is the bystander, whole, and nothing else. */
  assertClean(what: string): void {
    assertEquals(readNode(this.network), this.#expected, what);
    assertEquals([...this.agent.known], this.#living.map((it) => it.containerId), what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call("GC", this.bystander, validAttachments());
    this.bystander[Symbol.dispose]();
    this.network[Symbol.dispose]();
    await this.agent[Symbol.asyncDispose]();
  }
}
