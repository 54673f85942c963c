/**
 * What the socket says of the node, in a file beside it: where pods may start without their policy, the
 * plugin attaches them, closed, also while no agent answers. It lies in /run, so that it does not
 * outlive the boot.
 */

import type { Logger } from "../lib/base/log.ts";
import type { Node } from "../lib/model/node.ts";

/** The answer to GET /v1/node. */
export interface NodeAnswer {
  readonly nodeName: string;
  readonly podCIDRs: readonly string[];
  /** Bytes. */
  readonly mtu: number;
}

/** What there is to say of `node`. */
export function nodeAnswerOf(nodeName: string, node: Node, mtu: number): NodeAnswer {
  return { nodeName, podCIDRs: node.podCidrs.map(String), mtu };
}

/** Path of the file that belongs to a socket. */
export function nodeFilePath(socketPath: string): string {
  return `${socketPath.slice(0, socketPath.lastIndexOf("/"))}/node.json`;
}

/** Writes the file whole, or leaves the one that is there; that it cannot is no reason to stop. */
export function writeNodeFile(path: string, answer: NodeAnswer, logger: Logger): void {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.writeTextFileSync(temporary, JSON.stringify(answer) + "\n", {
      mode: 0o600,
      createNew: true,
    });
    Deno.renameSync(temporary, path);
  } catch (error) {
    logger.warn("node not written down", { path, error });
  }
}
