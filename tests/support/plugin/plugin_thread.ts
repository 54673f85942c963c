/**
 * The plugin on a thread of its own: `cni_node.ts` sends a call and gets its outcome. The plugin waits
 * in system calls for an agent that may be a stub on the caller's thread.
 */

import { type PluginOutput, serve } from "../../../cni/plugin.ts";

/** A call: the process's environment, and what is on its stdin. */
export interface ThreadCall {
  readonly variables: Readonly<Record<string, string>>;
  readonly stdin: string;
}

interface Thread {
  onmessage: ((event: MessageEvent<ThreadCall>) => void) | null;
  postMessage(message: PluginOutput): void;
}

const thread = globalThis as unknown as Thread;

thread.onmessage = async ({ data: { variables, stdin } }): Promise<void> => {
  thread.postMessage(
    await serve({
      variables,
      readInput: () => stdin,
      readPending: () => stdin,
      writeLog: () => {},
    }),
  );
};
