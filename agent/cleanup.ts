/** `calyx-agent cleanup`: removes the agent's table and state files from this machine. */

import { nodeFilePath } from "../lib/agent_api/node.ts";
import { Dataplane } from "../lib/dataplane/apply.ts";
import { openNetfilter } from "./kernel_need.ts";
import { openLog } from "./output.ts";
import type { Settings } from "./settings.ts";

/** Files in the state folder that a later agent would read. */
const STATE = ["attachments", "detachments", "program", "program.new"];

/**
 * Removes the table and the agent's state files; running pods keep their interfaces.
 *
 * @returns what was done, in one line
 * @throws {Error} one sentence why it could not be
 */
export async function cleanup(
  { stateDir, socketPath, logLevel }: Pick<Settings, "stateDir" | "socketPath" | "logLevel">,
): Promise<string> {
  using netfilter = openNetfilter();
  const isRemoved = await new Dataplane(netfilter, openLog({ logLevel })).remove();
  for (const path of [...STATE.map((it) => `${stateDir}/${it}`), nodeFilePath(socketPath)]) {
    await Deno.remove(path, { recursive: true }).catch(() => {});
  }
  return isRemoved ? "Removed table inet calyx\n" : "There is no table inet calyx: nothing to do\n";
}
