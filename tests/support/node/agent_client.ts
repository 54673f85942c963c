/** Asks the agent on its unix socket, as the plugin does. */

/** The agent's socket, unless a test says otherwise. */
export const AGENT_SOCKET = "/run/calyx/agent.sock";

/** GET `path`; the status and the JSON body. */
export async function askAgent(
  path: string,
  socket = AGENT_SOCKET,
): Promise<{ readonly status: number; readonly body: unknown }> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  const response = await fetch(`http://agent${path}`, { client });
  return { status: response.status, body: await response.json() };
}

/** Whether the agent says that policy is in force. */
export async function isAgentReady(socket = AGENT_SOCKET): Promise<boolean> {
  const { body } = await askAgent("/v1/status", socket);
  return typeof body === "object" && body !== null && "ready" in body && body.ready === true;
}
