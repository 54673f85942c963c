/**
 * One call of a CNI plugin: its variables, its stdin, its answer. Here it is a process, as runtimes call
 * it. `call_here.ts` makes the same call on a thread of this process, where thousands of calls would take
 * minutes as processes; `traced_plugin.ts` makes it under strace(1), which stops it at a system call.
 */

import { DIST, runProgram, type RunResult } from "../program/executable.ts";
import type { Container } from "./container.ts";

/** Fields of a network configuration. */
export type Fields = Readonly<Record<string, unknown>>;

/** A call: the process's variables, and what is on its stdin. */
export interface PluginCall {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

/** What a plugin prints: a result of any version, or an error. */
export interface CniAnswer {
  readonly cniVersion?: string;
  readonly interfaces?: readonly {
    readonly name: string;
    readonly mac?: string;
    readonly mtu?: number;
    readonly sandbox?: string;
  }[];
  readonly ips?: readonly {
    readonly address: string;
    readonly version?: string;
    readonly interface?: number;
    readonly gateway?: string;
  }[];
  readonly ip4?: { readonly ip: string };
  readonly ip6?: { readonly ip: string };
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[];
  readonly dns?: Fields;
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
  readonly supportedVersions?: readonly string[];
}

/** How a call ended. */
export interface CniOutcome extends RunResult {
  /** stdout, parsed; empty where nothing was printed. */
  readonly answer: CniAnswer;
}

/**
 * The variables with which a runtime calls a plugin for `container`.
 *
 * @param path where delegates and the other plugins of a chain are looked for
 */
export function environmentOf(
  command: string,
  { containerId, path: netns, pod, podNamespace = "default", uid }: Container,
  path = "/usr/lib/cni",
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: "eth0",
    CNI_PATH: path,
    CNI_ARGS: "IgnoreUnknown=1" +
      (pod === undefined ? "" : `;K8S_POD_NAMESPACE=${podNamespace};K8S_POD_NAME=${pod}`) +
      (uid === undefined ? "" : `;K8S_POD_UID=${uid}`),
  };
}

/**
 * Runs a plugin that is not ours with a /proc of its own process namespace: those that the reference
 * library is in look themselves up there by their process id.
 */
const WITH_PROC = ["--mount", "--propagation", "private", "--", "sh", "-c"];
const WITH_PROC_SCRIPT = 'mount -t proc proc /proc && exec "$0"';

/** Calls a plugin: ours, or the one at `program`. A variable that is "" is not set. */
export async function callPlugin(
  program: string | undefined,
  { env, stdin }: PluginCall,
): Promise<CniOutcome> {
  const result = await runProgram(program === undefined ? `${DIST}/calyx` : "unshare", {
    args: program === undefined ? [] : [...WITH_PROC, WITH_PROC_SCRIPT, program],
    env: {
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
      ...Object.fromEntries(Object.entries(env).filter(([, value]) => value !== "")),
    },
    stdin,
  });
  return { ...result, answer: result.stdout === "" ? {} : JSON.parse(result.stdout) };
}

/** The addresses of a result of any version, without their prefix lengths. */
export function addressesOf({ ips, ip4, ip6 }: CniAnswer): string[] {
  const texts = ips?.map((it) => it.address) ?? [ip4?.ip, ip6?.ip].filter((it) => it !== undefined);
  return texts.map((it) => it.replace(/\/\d+$/, ""));
}
