/** Requests and answers of the agent's socket as released versions sent them: tests/golden/agent_api. */

import type { Bytes } from "../../../lib/base/bytes.ts";

const FOLDER = new URL("../../golden/agent_api/v0.1/", import.meta.url);

/** The requests and answers of a version, by name, and the file beside the socket. */
export const EXCHANGES = [
  "get_node",
  "get_node_unknown",
  "get_status",
  "get_status_unready",
  "put_endpoint",
  "put_endpoint_without_uid",
  "put_endpoint_refused",
  "put_endpoint_late",
  "put_endpoint_detached",
  "get_endpoints",
  "delete_endpoint",
  "unknown_route",
] as const;
export type ExchangeName = (typeof EXCHANGES)[number];

/** What the plugin of version 0.1 sent. */
export function requestOf(name: ExchangeName): Bytes {
  return Deno.readFileSync(new URL(`${name}.request.http`, FOLDER));
}

/** What the agent of version 0.1 answered. */
export function answerOf(name: ExchangeName): Bytes {
  return Deno.readFileSync(new URL(`${name}.answer.http`, FOLDER));
}

/** What the agent of version 0.1 wrote beside its socket. */
export function nodeFileText(): string {
  return Deno.readTextFileSync(new URL("node.json", FOLDER));
}
