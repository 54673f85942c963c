/**
 * What the plugin is told of this node: over the socket, and in a file beside it. From the file it attaches
 * pods that may start without their policy, closed, also while no agent answers. The file lies in /run, so
 * that it does not outlive the boot.
 */

import { type AgentNode, encodeNode, nodeFilePath } from "../lib/agent_api/node.ts";
import { writeFileAtomic } from "../lib/base/atomic_file.ts";
import type { Logger } from "../lib/base/log.ts";
import type { Node } from "../lib/model/node.ts";
import type { OwnNode } from "./own_node.ts";

/** Where it is from. */
export interface NodeRecordOptions {
  readonly socketPath: string;
  readonly ownNode: Pick<OwnNode, "name" | "missing">;
  /** The Node of a name. */
  readonly nodeOf: (name: string) => Node | undefined;
  /** Of pods' interfaces, in bytes. */
  readonly mtu: () => number;
  readonly logger: Logger;
}

/** This node, as far as it is known. */
export class NodeRecord {
  readonly #options: NodeRecordOptions;

  constructor(options: NodeRecordOptions) {
    this.#options = options;
  }

  /** What there is to say; `undefined` while the Node is not known. */
  get current(): AgentNode | undefined {
    const { ownNode, nodeOf, mtu } = this.#options;
    const nodeName = ownNode.name;
    const node = nodeOf(nodeName);
    return node && { nodeName, podCidrs: node.podCidrs, mtu: mtu() };
  }

  /** Why there is nothing to say, in one sentence. */
  get missing(): string {
    const { name, missing } = this.#options.ownNode;
    return missing ?? `Node ${name} is not known yet`;
  }

  /** Writes the file whole, or leaves the one that is there; that it cannot is no reason to stop. */
  write(): void {
    const node = this.current;
    if (node === undefined) return;
    const path = nodeFilePath(this.#options.socketPath);
    try {
      writeFileAtomic(path, JSON.stringify(encodeNode(node)) + "\n");
    } catch (error) {
      this.#options.logger.warn("cannot write what the plugin asks of this node", { path, error });
    }
  }
}
