/**
 * IPAM by another plugin: it is found in the folders of `CNI_PATH`, gets our environment and the whole
 * configuration, and its stderr is ours. CNI specification 1.1, section 4.
 */

import { messageOf } from "../../lib/base/error.ts";
import type { Call } from "../call.ts";
import type { ValidAttachment } from "../protocol/configuration.ts";
import { CniError } from "../protocol/error.ts";
import { Fields, isJsonObject } from "../protocol/fields.ts";
import { parseResult } from "../protocol/result.ts";
import { CNI_VERSIONS, type CniVersion } from "../protocol/version.ts";
import type { Ipam, Lease } from "./ipam.ts";

export class DelegatedIpam implements Ipam {
  readonly #type: string;

  /** @throws {CniError} code 7 if the type is no plain file name */
  constructor(type: string) {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$/.test(type)) {
      throw new CniError("invalidConfiguration", `"ipam.type" cannot be ${JSON.stringify(type)}`);
    }
    this.#type = type;
  }

  async allocate(call: Call): Promise<Lease> {
    const release = async (): Promise<void> => {
      await this.#run(call, "DEL");
    };
    try {
      const value: unknown = parseJson(await this.#run(call, "ADD"), this.#type);
      const result = parseResult(value, versionOf(value, call), `the result of ${this.#type}`);
      if (result.ips.length === 0) {
        throw new CniError("addressUnavailable", `${this.#type} gave no address`);
      }
      return { result: { ...result, interfaces: [] }, release };
    } catch (error) {
      await release().catch((failure) =>
        call.log.warn("delegate DEL failed after its ADD", { type: this.#type, error: failure })
      );
      throw error;
    }
  }

  async release(call: Call): Promise<void> {
    await this.#run(call, "DEL");
  }

  async check(call: Call): Promise<void> {
    await this.#run(call, "CHECK");
  }

  listStale(): readonly ValidAttachment[] {
    return [];
  }

  async collect(call: Call): Promise<void> {
    await this.#run(call, "GC");
  }

  async status(call: Call): Promise<void> {
    await this.#run(call, "STATUS");
  }

  /**
   * Runs the plugin.
   *
   * @returns its stdout
   * @throws {CniError} its own error, or what kept it from running
   */
  async #run({ environment, stdin }: Call, command: string): Promise<string> {
    const path = await this.#find(environment.path);
    const child = start(path, command);
    const writer = child.stdin.getWriter();
    const written = writer.write(new TextEncoder().encode(stdin)).then(() => writer.close());
    // A plugin may end without reading all of its input: only its answer counts.
    const [output] = await Promise.all([child.output(), written.catch(() => {})]);
    const text = new TextDecoder().decode(output.stdout);
    if (output.success) return text;
    throw errorOf(text, this.#type, command, output.code);
  }

  async #find(folders: readonly string[]): Promise<string> {
    for (const folder of folders) {
      const path = `${folder}/${this.#type}`;
      const info = await Deno.stat(path).catch(() => undefined);
      if (info?.isFile) return path;
    }
    throw new CniError(
      "invalidConfiguration",
      `IPAM plugin "${this.#type}" is in none of CNI_PATH: ${folders.join(", ")}`,
    );
  }
}

/** @throws {CniError} code 7 if it is no program that can run here */
function start(path: string, command: string): Deno.ChildProcess {
  try {
    return new Deno.Command(path, {
      env: { CNI_COMMAND: command },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    const reason = messageOf(error);
    throw new CniError("invalidConfiguration", `IPAM plugin ${path} does not start: ${reason}`, {
      cause: error,
    });
  }
}

function parseJson(text: string, type: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CniError("decode", `Cannot parse the result of ${type}: it is not JSON`, {
      cause: error,
    });
  }
}

function versionOf(value: unknown, { configuration }: Call): CniVersion {
  const version = isJsonObject(value) ? value.cniVersion : undefined;
  return CNI_VERSIONS.find((it) => it === version) ?? configuration.cniVersion;
}

/** Converts a delegate's failure to an error of ours; some delegates print nothing. */
function errorOf(text: string, type: string, command: string, exitCode: number): CniError {
  try {
    const value: unknown = JSON.parse(text);
    const fields = new Fields(isJsonObject(value) ? value : {});
    const message = fields.text("msg");
    const code = fields.integer("code", 1);
    const details = fields.text("details");
    if (message !== undefined && code !== undefined) {
      return new CniError(code, message, details === undefined ? {} : { details });
    }
  } catch {
    // Not JSON: reported below.
  }
  return new CniError(
    "internal",
    `${type} ${command} failed with exit code ${exitCode} and without a reason`,
  );
}
