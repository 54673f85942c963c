/** The thread of `call_here.ts`: it is sent a call, serves it as the plugin does, and sends the outcome. */

import { type PluginOutput, serve } from "../../../cni/plugin.ts";
import type { PluginCall } from "./call.ts";

interface Thread {
  onmessage: ((event: MessageEvent<PluginCall>) => void) | null;
  postMessage(message: PluginOutput): void;
}

const thread = globalThis as unknown as Thread;

thread.onmessage = async ({ data: { env, stdin } }): Promise<void> => {
  thread.postMessage(
    await serve({
      variables: env,
      readInput: () => stdin,
      readPending: () => stdin,
      writeLog: () => {},
    }),
  );
};
