/**
 * A network in the sense of CNI, for tests: the plugin called one command at a time with exactly the
 * environment and the configuration that the test says. Reservations go to a folder of its own. Not for
 * chains of plugins: cni_runtime.ts.
 */

import { callPlugin, type CniAnswer, type CniOutcome, environmentOf, type Fields } from "./call.ts";
import type { Container } from "./container.ts";

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

/** Both families. */
const SUBNETS = ["10.244.0.0/24", "fd00:10:244::/64"];

/** Calls the plugin with the configuration of one network, whose folder it deletes at its end. */
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
    return environmentOf(command, container);
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

/** What GC is told: these containers live. */
export function validAttachments(...containers: readonly Container[]): Fields {
  return {
    "cni.dev/valid-attachments": containers.map(({ containerId }) => ({
      containerID: containerId,
      ifname: "eth0",
    })),
  };
}
