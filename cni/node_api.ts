/**
 * The node's pod CIDRs from the API server, where no agent is configured that would say them. Loaded
 * only then: `node.ts` imports it when it needs it, and the build keeps it apart from the program, with
 * its own copies of what both import. So only plain data goes out of here.
 */

import { systemClock } from "../lib/base/clock.ts";
import { messageOf } from "../lib/base/error.ts";
import { version } from "../lib/base/version.ts";
import { openApiServer } from "../lib/credentials/api_server.ts";
import { CredentialsError } from "../lib/credentials/error.ts";
import { settingsFromEnvironment } from "../lib/credentials/settings.ts";
import { decodeNode } from "../lib/datastore/decode/node.ts";
import { DatastoreError } from "../lib/datastore/error.ts";
import { getJson } from "../lib/datastore/request.ts";
import type { NodeSettings, PluginSettings } from "./protocol/configuration.ts";
import { CniError, toCniError } from "./protocol/error.ts";
import { API_KEYS } from "./protocol/keys.ts";

/** How long the API server may take; the runtime waits, and asks again later. */
const REQUEST_MS_MAX = 10_000;

/** What messages call the settings of {@link API_KEYS}; the API's root may stand in either object. */
const FILE_KEYS = {
  ...Object.fromEntries(Object.entries(API_KEYS).map(([name, { key }]) => [name, key])),
  apiEndpoint: API_KEYS.apiRoot.key.replace(/^.*\./, ""),
};

/** The answer: CIDRs as texts, or the reason why there are none. */
export type NodeAnswer =
  | { readonly podCidrs: readonly string[] }
  | { readonly problem: Pick<CniError, "code" | "message" | "details" | "cause"> };

/** Reads `spec.podCIDRs` of the node. Problems: code 7 for credentials, 11 if the API server does not answer. */
export async function readPodCidrs(
  settings: Pick<PluginSettings, "node" | "api">,
): Promise<NodeAnswer> {
  try {
    return { podCidrs: await askApiServer(settings) };
  } catch (error) {
    const { code, message, details, cause } = toCniError(error);
    return { problem: { code, message, details, cause } };
  }
}

async function askApiServer(
  settings: Pick<PluginSettings, "node" | "api">,
): Promise<readonly string[]> {
  const name = await nodeNameOf(settings.node);
  try {
    using api = await openApiServer({
      file: settings.api,
      fileKeys: FILE_KEYS,
      environment: settingsFromEnvironment(Deno.env.toObject()),
      userAgent: `calyx/${version}`,
    }, { clock: systemClock });
    const path = `/api/v1/nodes/${encodeURIComponent(name)}`;
    const signal = AbortSignal.timeout(REQUEST_MS_MAX);
    const node = decodeNode(await getJson(api, path, `read node "${name}"`, signal));
    return node.value?.podCidrs.map(String) ?? [];
  } catch (error) {
    throw toNodeError(error, name);
  }
}

function toNodeError(error: unknown, name: string): unknown {
  if (error instanceof CredentialsError) {
    return new CniError("invalidConfiguration", error.message, { cause: error });
  }
  if (error instanceof DatastoreError) {
    const details = error.status === 404
      ? { details: `"nodename" says how Kubernetes calls this node: "${name}" it is not` }
      : {};
    return new CniError("tryAgainLater", error.message, { ...details, cause: error });
  }
  if (error instanceof DOMException && error.name === "TimeoutError") {
    const message = `The API server did not answer within ${REQUEST_MS_MAX} ms`;
    return new CniError("tryAgainLater", message, { cause: error });
  }
  return error;
}

/** The configured name, that in a file, or the machine's, as the kubelet takes it. */
async function nodeNameOf({ name, nameFile, nameFileOptional, hostname }: NodeSettings): Promise<
  string
> {
  if (name !== undefined) return name;
  const written = nameFile === undefined
    ? undefined
    : await readNameFile(nameFile, nameFileOptional === true);
  return written ?? hostname ?? Deno.hostname().toLowerCase();
}

/** @throws {CniError} code 7 if the file holds no name; a missing file is an error unless it is optional */
async function readNameFile(path: string, isOptional: boolean): Promise<string | undefined> {
  try {
    const text = (await Deno.readTextFile(path)).trim();
    if (text !== "") return text;
  } catch (error) {
    if (isOptional && error instanceof Deno.errors.NotFound) return undefined;
    const reason = messageOf(error);
    throw new CniError("invalidConfiguration", `Cannot read "nodename_file": ${reason}`, {
      cause: error,
    });
  }
  throw new CniError("invalidConfiguration", `"nodename_file" ${path} is empty`);
}
