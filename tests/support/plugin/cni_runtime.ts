/**
 * A small container runtime's side of CNI, for tests: a list of plugins called as libcni calls it. ADD
 * in order, each with the result of the one before; the last result is kept, and CHECK (in order) and
 * DEL (in reverse) get it; what the runtime knows (`runtimeConfig`) goes to those plugins alone that
 * say so in `capabilities`.
 */

import { callPlugin, type CniAnswer, type CniOutcome, environmentOf, type Fields } from "./call.ts";
import type { Container } from "./container.ts";

/** One plugin of a list. */
export interface PluginConfiguration extends Fields {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
}

/** A list of plugins, and where those that are not ours lie. */
export interface PluginList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginConfiguration[];
  readonly folder: string;
  /** Variables besides those of CNI. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A call that failed, with the plugin's answer. */
export class PluginFailure extends Error {
  override readonly name = "PluginFailure";
  readonly type: string;
  readonly outcome: CniOutcome;

  constructor(type: string, command: string, outcome: CniOutcome) {
    super(`${type} ${command}: ${outcome.stdout}${outcome.stderr}`);
    this.type = type;
    this.outcome = outcome;
  }
}

/** Calls the plugins of a list in order, and caches their results. */
export class CniRuntime {
  readonly #list: PluginList;
  /** Results and what the runtime knew, by container. */
  readonly #cache = new Map<string, { readonly result: CniAnswer; readonly known: Fields }>();

  constructor(list: PluginList) {
    this.#list = list;
  }

  /**
   * Connects a container.
   *
   * @param known what the runtime knows, by capability: `portMappings`, `bandwidth`
   * @throws {PluginFailure} of the first plugin that fails; DEL is the caller's to call then
   */
  async add(container: Container, known: Fields = {}): Promise<CniAnswer> {
    let result: CniAnswer | undefined;
    this.#cache.set(container.containerId, { result: {}, known });
    for (const plugin of this.#list.plugins) {
      result = (await this.#call("ADD", plugin, container, { known, prevResult: result })).answer;
    }
    this.#cache.set(container.containerId, { result: result ?? {}, known });
    return result ?? {};
  }

  /** @throws {PluginFailure} of the first plugin that finds something wrong */
  async check(container: Container): Promise<void> {
    const { result, known } = this.#cached(container);
    for (const plugin of this.#list.plugins) {
      await this.#call("CHECK", plugin, container, { known, prevResult: result });
    }
  }

  /** @throws {PluginFailure} of the first plugin that leaves something */
  async del(container: Container): Promise<void> {
    const { result, known } = this.#cached(container);
    const prevResult = Object.keys(result).length === 0 ? undefined : result;
    for (const plugin of [...this.#list.plugins].reverse()) {
      await this.#call("DEL", plugin, container, { known, prevResult });
    }
    this.#cache.delete(container.containerId);
  }

  #cached({ containerId }: Container): { readonly result: CniAnswer; readonly known: Fields } {
    return this.#cache.get(containerId) ?? { result: {}, known: {} };
  }

  async #call(
    command: string,
    plugin: PluginConfiguration,
    container: Container,
    { known, prevResult }: { readonly known: Fields; readonly prevResult: CniAnswer | undefined },
  ): Promise<CniOutcome> {
    const { cniVersion, name, folder, env } = this.#list;
    const { capabilities = {}, ...own } = plugin;
    const wanted = Object.entries(known).filter(([key]) => capabilities[key] === true);
    const runtimeConfig = wanted.length === 0 ? {} : { runtimeConfig: Object.fromEntries(wanted) };
    const outcome = await callPlugin(
      plugin.type === "calyx" ? undefined : `${folder}/${plugin.type}`,
      {
        env: { ...env, ...environmentOf(command, container, folder) },
        stdin: JSON.stringify({
          ...own,
          cniVersion,
          name,
          ...runtimeConfig,
          ...(prevResult === undefined ? {} : { prevResult }),
        }),
      },
    );
    if (outcome.code !== 0) throw new PluginFailure(plugin.type, command, outcome);
    return outcome;
  }
}
