/**
 * A network in the sense of CNI, for tests: the compiled plugin, or another one, called one command at
 * a time with exactly the environment and the configuration that the test says. Reservations go to a
 * folder of its own. Not for chains of plugins: cni_runtime.ts.
 */

import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { DIST, runProgram } from "../program/executable.ts";
import { TestNamespace } from "../kernel/test_namespace.ts";

/** Fields of a network configuration. */
export type Fields = Readonly<Record<string, unknown>>;

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
export interface CniOutcome {
  readonly code: number;
  /** stdout, parsed; empty where nothing was printed. */
  readonly answer: CniAnswer;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

/** A container, as far as the plugin is told of it. */
export interface Container {
  readonly containerId: string;
  /** The network namespace's path. */
  readonly path: string;
  /** The pod's name; without it the container is no pod's. */
  readonly pod?: string;
  /** The pod's namespace. @default {"default"} */
  readonly podNamespace?: string;
  /** The pod's uid; without it the runtime does not say. */
  readonly uid?: string;
}

/** A container with a network namespace of its own. */
export class TestContainer extends TestNamespace implements Container {
  readonly containerId: string;
  readonly pod: string;
  readonly podNamespace: string;
  readonly uid?: string;

  constructor(containerId: string, pod = containerId, uid?: string, podNamespace = "default") {
    super();
    this.containerId = containerId;
    this.pod = pod;
    this.podNamespace = podNamespace;
    if (uid !== undefined) this.uid = uid;
  }

  /** The pod's interface on the node, where nothing else had its name first. */
  get hostName(): string {
    return interfaceNameOf(this.podNamespace, this.pod);
  }

  /** Names of the links inside, but for the tunnels that some kernels put into every namespace. */
  get links(): unknown[] {
    return this.ip("link").filter((it) => it.ifname === "lo" || it.link_type === "ether")
      .map((it) => it.ifname);
  }
}

/** What a test changes of a call. */
export interface CallChanges {
  /** Fields of the configuration; `undefined` takes one away. */
  readonly fields?: Fields;
  /** Variables; "" takes one away. */
  readonly env?: Readonly<Record<string, string>>;
  /** All of stdin, instead of the configuration. */
  readonly stdin?: string;
  /** Another plugin. @default {the compiled one} */
  readonly program?: string;
}

/**
 * Runs a plugin that is not ours with a /proc of its own process namespace: those that the reference
 * library is in look themselves up there by their process id.
 */
const WITH_PROC = ["--mount", "--propagation", "private", "--", "sh", "-c"];
const WITH_PROC_SCRIPT = 'mount -t proc proc /proc && exec "$0"';

/** Both families. */
const SUBNETS = ["10.244.0.0/24", "fd00:10:244::/64"];

/** See the file's comment. */
export class CniNetwork implements Disposable {
  readonly dataDir: string = Deno.makeTempDirSync({ dir: "/run" });
  readonly #fields: Fields;
  readonly #subnets: readonly string[];

  /**
   * @param fields of every call's configuration, over those that it has anyway
   * @param subnets that host-local allocates from, one address from each
   */
  constructor(fields: Fields = {}, subnets: readonly string[] = SUBNETS) {
    this.#fields = fields;
    this.#subnets = subnets;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dataDir, { recursive: true });
  }

  /** host-local with these subnets. */
  hostLocal(...subnets: readonly string[]): Fields {
    const ranges = subnets.map((subnet) => [{ subnet }]);
    return { type: "host-local", dataDir: this.dataDir, ranges };
  }

  /** The configuration, with `more` in it. */
  configuration(more: Fields = {}): Fields {
    const ipam = this.hostLocal(...this.#subnets);
    return { cniVersion: "1.1.0", name: "net1", type: "calyx", ipam, ...this.#fields, ...more };
  }

  /** The variables of a call. */
  environment(command: string, container: Container): Record<string, string> {
    const { containerId, path, pod, podNamespace = "default", uid } = container;
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: containerId,
      CNI_NETNS: path,
      CNI_IFNAME: "eth0",
      CNI_PATH: "/usr/lib/cni",
      CNI_ARGS: "IgnoreUnknown=1" +
        (pod === undefined ? "" : `;K8S_POD_NAMESPACE=${podNamespace};K8S_POD_NAME=${pod}`) +
        (uid === undefined ? "" : `;K8S_POD_UID=${uid}`),
    };
  }

  /** Calls the plugin. */
  async call(
    command: string,
    container: Container,
    { fields = {}, env = {}, stdin, program }: CallChanges = {},
  ): Promise<CniOutcome> {
    return await callPlugin(program, {
      env: { ...this.environment(command, container), ...env },
      stdin: stdin ?? JSON.stringify(this.configuration(fields)),
    });
  }

  /**
   * Calls ADD.
   *
   * @throws {Error} with what the plugin said, if it failed
   */
  async add(container: Container, changes?: CallChanges): Promise<CniAnswer> {
    const { code, answer, stdout, stderr } = await this.call("ADD", container, changes);
    if (code !== 0) throw new Error(`ADD of ${container.containerId}: ${stdout}${stderr}`);
    return answer;
  }

  /** Takes away the folder of reservations, as if there had never been one. */
  async forget(name = "net1"): Promise<void> {
    await Deno.remove(`${this.dataDir}/${name}`, { recursive: true }).catch(() => {});
  }

  /** Addresses that are reserved, in the network of this name. */
  reserved(name = "net1"): string[] {
    try {
      const names = [...Deno.readDirSync(`${this.dataDir}/${name}`)].map((it) => it.name);
      return names.filter((it) => /^[0-9a-f]+[.:][0-9a-f.:]*$/.test(it)).sort();
    } catch {
      return []; // no folder yet
    }
  }
}

/** Calls a plugin: ours, or the one at `program`. */
export async function callPlugin(
  program: string | undefined,
  { env, stdin }: { readonly env: Readonly<Record<string, string>>; readonly stdin: string },
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

/** What `ip` says of the node. */
export function nodeIp(...args: readonly string[]): Fields[] {
  const options = { args: ["-d", "-j", ...args], stdin: "null" as const };
  const { success, stdout, stderr } = new Deno.Command("ip", options).outputSync();
  if (!success) throw new Error(`ip ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  const text = new TextDecoder().decode(stdout).trim();
  return text === "" ? [] : JSON.parse(text);
}

/** Names of the pods' interfaces on the node. */
export function nodeLinks(): string[] {
  return nodeIp("link").map((it) => String(it.ifname)).filter((it) => it.startsWith("cali")).sort();
}

/** What is on the node for pods: interfaces, and routes of both families by them. */
export function nodeState(): string[] {
  const routes = [...nodeIp("route"), ...nodeIp("-6", "route")]
    .filter((it) => String(it.dev).startsWith("cali") && !String(it.dst).startsWith("fe80"));
  return [...nodeLinks(), ...routes.map((it) => `${it.dst} ${it.dev}`).sort()];
}
