/**
 * `portmap` and `bandwidth`, Debian's, as they come behind ours in a list of plugins: where they are,
 * whether they can be tried here, and what the kernel has of them.
 */

import type { PluginConfiguration } from "./cni_runtime.ts";
import { findProgram, missingProgram } from "../program/program.ts";

/** The folder of Debian's plugins. */
export const CHAINED_PLUGINS: string = (findProgram("portmap") ?? "").replace(/\/portmap$/, "");

export const PORTMAP: PluginConfiguration = {
  type: "portmap",
  capabilities: { portMappings: true },
  snat: true,
};
export const BANDWIDTH: PluginConfiguration = {
  type: "bandwidth",
  capabilities: { bandwidth: true },
};

/** Why `portmap` cannot be tried. */
export const NO_PORTMAP: string | undefined = missingProgram(["portmap", "iptables"]) ??
  refusal("iptables", "-t", "nat", "-L");
/** Why `bandwidth` cannot be tried. */
export const NO_BANDWIDTH: string | undefined = missingProgram(["bandwidth", "tc"]) ??
  refusal("ip", "link", "add", "ifb9", "type", "ifb");

/** Why a command fails in a network namespace of its own; `undefined` if it does not. */
function refusal(...words: readonly string[]): string | undefined {
  const args = ["--net", ...words];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const { success, stderr } = new Deno.Command("unshare", { args, env }).outputSync();
  return success ? undefined : `${words[0]} says: ${new TextDecoder().decode(stderr).trim()}`;
}

/**
 * A PATH without ip6tables: where it is, some releases of portmap look for a pod's IPv4 rules there too
 * and find nothing.
 */
export const CHAINED_PATH = "/run/calyx-chain-test";

/** Makes it, of what the machine has. */
export function makeChainedPath(): void {
  Deno.mkdirSync(CHAINED_PATH, { recursive: true });
  for (const name of ["iptables", "mount", "sh", "unshare"]) {
    const target = findProgram(name);
    if (target === undefined) continue;
    try {
      Deno.symlinkSync(target, `${CHAINED_PATH}/${name}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

/** What iptables has that names this text. */
export function natRules(text: string): string[] {
  return ["iptables-save", "ip6tables-save"].flatMap((program) => {
    const { stdout } = new Deno.Command(program, { args: ["-t", "nat"] }).outputSync();
    return new TextDecoder().decode(stdout).split("\n").filter((it) => it.includes(text));
  });
}

/** The rate of a link's token bucket, in bytes a second. */
export function rateOf(link: string): unknown {
  const args = ["-j", "qdisc", "show", "dev", link];
  const { stdout } = new Deno.Command("tc", { args }).outputSync();
  const list: { kind: string; options?: { rate?: number } }[] = JSON.parse(
    new TextDecoder().decode(stdout),
  );
  return list.find((it) => it.kind === "tbf")?.options?.rate;
}
