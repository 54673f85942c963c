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

/** This node's name, pod CIDRs and MTU, for the plugin. */
export class NodeRecord {
  readonly #options: NodeRecordOptions;

  constructor(options: NodeRecordOptions) {
    this.#options = options;
  }

  /** The current record; `undefined` while the Node is not known. */
  get current(): AgentNode | undefined {
    const { ownNode, nodeOf, mtu } = this.#options;
    const nodeName = ownNode.name;
    const node = nodeOf(nodeName);
    return node && { nodeName, podCidrs: node.podCidrs, mtu: mtu() };
  }

  /** One sentence why there is no record. */
  get missing(): string {
    const { name, missing } = this.#options.ownNode;
    return missing ?? `Node ${name} is not known yet`;
  }

  /** Replaces node.json atomically; a failure is only logged, and the earlier file stays. */
  write(): void {
    const node = this.current;
    if (node === undefined) return;
    const path = nodeFilePath(this.#options.socketPath);
    try {
      writeFileAtomic(path, JSON.stringify(encodeNode(node)) + "\n");
    } catch (error) {
      this.#options.logger.warn("cannot write node.json", { path, error });
    }
  }
}
