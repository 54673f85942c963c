/** The compiled plugin, called as a container runtime calls it. */

import { runExecutable, type RunResult } from "../program/executable.ts";

/** Calls the plugin as a container runtime does. */
export function callPlugin(
  command: "ADD" | "DEL" | "CHECK",
  pod: { readonly containerId: string; readonly path: string; readonly name: string },
  namespace: string,
): Promise<RunResult> {
  return runExecutable("calyx", {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.path,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/opt/cni/bin",
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${pod.name}`,
    },
    stdin: JSON.stringify({
      cniVersion: "1.0.0",
      name: "calyx",
      type: "calyx",
      agent_socket: "/run/calyx/agent.sock",
      policy_setup_timeout_seconds: 120, // the longest: a busy machine is late
      ipam: {
        type: "host-local",
        dataDir: "/run/cni/networks",
        ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]],
      },
    }),
  });
}
