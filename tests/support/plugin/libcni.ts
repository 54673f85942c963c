/**
 * A container runtime's side of CNI as the reference library has it: lists of plugins, results
 * converted, results and attachments kept in its cache. Each call runs the driver once (tests/libcni),
 * which looks for plugins where the list's folder says.
 */

import { callPlugin, type CniAnswer, type Fields } from "./call.ts";
import { type Container } from "./container.ts";
import { CHAINED_PATH, CHAINED_PLUGINS, makeChainedPath } from "./chained_plugins.ts";
import { DIST } from "../program/executable.ts";
import { findLibcni } from "./libcni_driver.ts";

/** A list of plugins, as runtimes read it from a file. */
export interface ConfigurationList extends Fields {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly Fields[];
}

/** What came of a call. */
export interface LibcniAnswer {
  /** The result, by every version that the library can give it in. */
  readonly results?: Readonly<Record<string, CniAnswer>>;
  readonly attachments?: readonly Fields[];
  readonly capabilities?: readonly string[];
  readonly versions?: readonly string[];
  readonly failure?: {
    readonly message: string;
    /** The plugin's error object, as the library hands it on. */
    readonly plugin?: { readonly code: number; readonly msg: string; readonly details?: string };
  };
}

/** The arguments of one call that the runtime does not fill in. */
export interface LibcniCall {
  /** A configuration in place of the first one, as after an administrator's change of the file. */
  readonly configuration?: Fields;
  readonly container?: Container;
  readonly ifname?: string;
  /** Of the container, by capability: `portMappings`, `bandwidth`, `ips`. */
  readonly known?: Fields;
  /** Of GC; `null` is what a Go program without any attachment says. */
  readonly valid?: readonly { readonly ContainerID: string; readonly IfName: string }[] | null;
  readonly traceParent?: string;
}

/** Calls libcni's driver with one list of plugins and a cache of its own. */
export class Libcni implements Disposable {
  readonly #configuration: Fields;
  readonly #folder: string = Deno.makeTempDirSync({ dir: "/run" });

  /** @param configuration a list of plugins, or one plugin alone */
  constructor(configuration: ConfigurationList | Fields) {
    this.#configuration = configuration;
    makeChainedPath();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#folder, { recursive: true });
  }

  /** Names and contents of the files in its cache. */
  get cache(): Readonly<Record<string, Fields>> {
    return Object.fromEntries(
      this.#cacheNames().map((it) => {
        const text = Deno.readTextFileSync(`${this.#folder}/results/${it}`);
        return [it, JSON.parse(text)];
      }),
    );
  }

  #cacheNames(): string[] {
    try {
      return [...Deno.readDirSync(`${this.#folder}/results`)].map((it) => it.name).sort();
    } catch {
      return []; // nothing was ever kept
    }
  }

  /** Puts a text in place of what is kept. */
  spoilCache(name: string, text: string): void {
    Deno.writeTextFileSync(`${this.#folder}/results/${name}`, text);
  }

  /**
   * Calls the library.
   *
   * @throws {Error} if the driver itself fails
   */
  async call(command: string, more: LibcniCall = {}): Promise<LibcniAnswer> {
    const { container, ifname = "eth0", known, valid, traceParent } = more;
    const configuration = more.configuration ?? this.#configuration;
    const pod = container?.pod;
    const named = pod === undefined
      ? []
      : [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", pod]];
    const { code, stdout, stderr } = await callPlugin(findLibcni().path, {
      env: { PATH: CHAINED_PATH },
      stdin: JSON.stringify({
        Command: command,
        Path: [DIST, CHAINED_PLUGINS],
        CacheDir: this.#folder,
        ["plugins" in configuration ? "List" : "Single"]: configuration,
        Container: {
          ContainerID: container?.containerId ?? "",
          NetNS: container?.path ?? "",
          IfName: ifname,
          Args: [["IgnoreUnknown", "1"], ...named],
          CapabilityArgs: known,
        },
        ...(valid === undefined ? {} : { GC: { ValidAttachments: valid } }),
        TraceParent: traceParent,
      }),
    });
    if (code !== 0) throw new Error(`The driver of libcni: ${stderr}`);
    return JSON.parse(stdout);
  }

  /**
   * Calls what must succeed.
   *
   * @throws {Error} with what the library said, if it did not
   */
  async do(command: string, more?: LibcniCall): Promise<LibcniAnswer> {
    const answer = await this.call(command, more);
    if (answer.failure === undefined) return answer;
    throw new Error(`${command}: ${answer.failure.message}`);
  }
}
