/**
 * What the socket says of the node, in a file beside it: where pods may start without their policy, the
 * plugin attaches them, closed, also while no agent answers. It lies in /run, so that it does not
 * outlive the boot.
 */

import { type AgentNode, encodeNode } from "../lib/agent_api/node.ts";
import type { Logger } from "../lib/base/log.ts";

/** Writes the file whole, or leaves the one that is there; that it cannot is no reason to stop. */
export function writeNodeFile(path: string, node: AgentNode, logger: Logger): void {
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.writeTextFileSync(temporary, JSON.stringify(encodeNode(node)) + "\n", {
      mode: 0o600,
      createNew: true,
    });
    Deno.renameSync(temporary, path);
  } catch (error) {
    logger.warn("node not written down", { path, error });
  }
}
