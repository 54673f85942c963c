/** Measures CNI plugins: ours, Debian's ptp, and any other that the command line names. */

import { environmentOf } from "../support/plugin/call.ts";
import { TestContainer } from "../support/plugin/container.ts";
import { DIST, type RunResult } from "../support/program/executable.ts";
import { findProgram } from "../support/program/program.ts";
import type { Peer } from "./benchmark.ts";
import { measurePeakMb, type Program, runProgram } from "./run_program.ts";

/** A plugin and the configuration that it gets on stdin. */
export interface CniPlugin {
  readonly name: string;
  readonly path: string;
  readonly configuration: string;
}

/** Ours: two families, addresses of the node's pod CIDRs, policy awaited. */
export const CALYX: CniPlugin = {
  name: "calyx",
  path: `${DIST}/calyx`,
  configuration: JSON.stringify({
    cniVersion: "1.0.0",
    name: "calyx",
    type: "calyx",
    agent_socket: "/run/calyx/agent.sock",
    ipam: {
      type: "host-local",
      dataDir: "/run/cni/calyx",
      ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]],
    },
  }),
};

/**
 * Debian's ptp with host-local; undefined where it is not installed. In IPv4 alone: with an IPv6 address
 * it waits a second or two until the kernel has found no duplicate of it.
 */
export function findPtp(): CniPlugin | undefined {
  const path = findProgram("ptp");
  if (path === undefined || findProgram("host-local") === undefined) return undefined;
  return {
    name: "ptp + host-local",
    path,
    configuration: JSON.stringify({
      cniVersion: "1.0.0",
      name: "ptp",
      type: "ptp",
      ipam: { type: "host-local", dataDir: "/run/cni/ptp", subnet: "10.99.0.0/16" },
    }),
  };
}

/** The plugin of `--peer`. */
export function peerPlugin({ path, configuration }: Peer): CniPlugin {
  return { name: path.slice(path.lastIndexOf("/") + 1), path, configuration };
}

/** A container for `plugin` of this pod, with a network namespace of its own. */
export function makeContainer(plugin: CniPlugin, namespace: string, pod: string): TestContainer {
  const id = `${plugin.path.slice(plugin.path.lastIndexOf("/") + 1)}-${pod}`;
  return new TestContainer(id, pod, undefined, namespace);
}

/**
 * Calls `plugin` as a container runtime does.
 *
 * @throws {Error} with what it answered, if it refuses
 */
export async function callPlugin(
  plugin: CniPlugin,
  command: "ADD" | "DEL",
  container: TestContainer,
): Promise<RunResult> {
  const result = await runProgram(programOf(plugin, command, container));
  if (result.code === 0) return result;
  throw new Error(`${plugin.name} ${command}: ${result.stdout}${result.stderr}`.trim());
}

/** The most memory that an ADD of `plugin` has; it is stopped when it answers, and DEL follows. */
export async function measureAddMb(
  plugin: CniPlugin,
  container: TestContainer,
): Promise<number | undefined> {
  const mb = await measurePeakMb(programOf(plugin, "ADD", container));
  await callPlugin(plugin, "DEL", container);
  return mb;
}

function programOf(plugin: CniPlugin, command: "ADD" | "DEL", container: TestContainer): Program {
  const folder = plugin.path.slice(0, plugin.path.lastIndexOf("/"));
  return {
    path: plugin.path,
    env: environmentOf(command, container, `${folder}:/usr/lib/cni:/opt/cni/bin`),
    stdin: plugin.configuration,
  };
}
