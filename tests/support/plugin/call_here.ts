/**
 * The plugin called within this process, where a process for each call would take too long: it is the
 * same program from source, with the same variables and stdin, on a thread of its own, because it waits in
 * system calls for an agent that may be a stub on the caller's thread.
 */

import type { PluginOutput } from "../../../cni/plugin.ts";
import type { CniAnswer, Fields, PluginCall } from "./call.ts";
import type { CniNetwork } from "./cni_network.ts";
import type { Container } from "./container.ts";

/** Made here: a test that makes a thread counts as leaking it. */
const pluginThread = new Worker(import.meta.resolve("./plugin_thread.ts"), { type: "module" });
let lastCall: Promise<unknown> = Promise.resolve();

/** Calls the plugin within this process, one call after the other. */
export async function callHere(
  network: CniNetwork,
  command: string,
  container: Container,
  fields: Fields = {},
): Promise<{ readonly code: number; readonly answer: CniAnswer }> {
  const env = network.environment(command, container);
  const stdin = JSON.stringify(network.configuration(fields));
  const outcome = lastCall.then(() => callOnThread({ env, stdin }));
  lastCall = outcome.catch(() => {});
  const { exitCode, stdout } = await outcome;
  return { code: exitCode, answer: stdout === "" ? {} : JSON.parse(stdout) };
}

function callOnThread(call: PluginCall): Promise<PluginOutput> {
  return new Promise((resolve, reject) => {
    pluginThread.onmessage = ({ data }) => resolve(data);
    pluginThread.onerror = ({ message }) => reject(new Error(message));
    pluginThread.postMessage(call);
  });
}
