/**
 * The contract of the agent's unix socket: what calyx (and calyxctl) may ask calyx-agent, and what comes
 * back. HTTP/1.x with JSON bodies; only root may connect. This file has the routes; `message.ts` the bytes
 * of a request and of an answer; `node.ts`, `endpoint.ts`, `endpoint_list.ts` and `status.ts` the bodies.
 *
 * An upgrade replaces the executables of a node one after the other, so each of them meets an older and a
 * newer one. Within one version, the first part of the path:
 *
 * - Routes and fields are added; none is taken away, renamed or given another type.
 * - A field that the reader does not know is ignored.
 * - A field that is missing means what its comment says: for one that was added later, what held before it.
 * - The agent refuses a request with a field that it knows and cannot use: 400, naming every such field.
 *   Who asked takes a field of an answer that it cannot use for missing.
 * - A route that the agent does not know is 404 with a sentence. Code that asks for a route that 0.1 did
 *   not have says what it does then.
 *
 * What breaks one of these is a `/v2` that the agent answers beside `/v1`. `docs/agent_api.md` says the same
 * for people, and `tests/golden/agent_api/v0.1/` holds requests and answers as version 0.1 sent them.
 */

/** Which interface of which container. */
export interface EndpointId {
  readonly containerId: string;
  /** The interface's name inside the pod. */
  readonly ifname: string;
}

/** A request's method and path; the parts in capitals are an {@link EndpointId}, percent-encoded. */
export const ROUTES = {
  getNode: ["GET", "/v1/node"],
  putEndpoint: ["PUT", "/v1/endpoints/CONTAINER/IFNAME"],
  deleteEndpoint: ["DELETE", "/v1/endpoints/CONTAINER/IFNAME"],
  getEndpoints: ["GET", "/v1/endpoints"],
  getStatus: ["GET", "/v1/status"],
} as const satisfies Readonly<Record<string, readonly [string, string]>>;

/** A call: the route, and the endpoint that it is about. */
export type ApiCall =
  | { readonly route: "getNode" | "getEndpoints" | "getStatus" }
  | { readonly route: "putEndpoint" | "deleteEndpoint"; readonly id: EndpointId };

/** Method and path of a call. */
export function formatCall(call: ApiCall): readonly [method: string, path: string] {
  const [method, path] = ROUTES[call.route];
  if (!("id" in call)) return [method, path];
  const { containerId, ifname } = call.id;
  const names: Readonly<Record<string, string>> = { CONTAINER: containerId, IFNAME: ifname };
  const parts = path.split("/").map((part) => encodeURIComponent(names[part] ?? part));
  return [method, parts.join("/")];
}

/** Parses method and path; `undefined`: there is no such route. */
export function parseCall(method: string, path: string): ApiCall | undefined {
  const parts = path.split("/").map(decodePart);
  for (const route of Object.keys(ROUTES) as (keyof typeof ROUTES)[]) {
    const [wanted, template] = ROUTES[route];
    const names = template.split("/");
    if (method !== wanted || parts.length !== names.length) continue;
    if (!names.every((name, index) => name === parts[index] || isPlaceholder(name))) continue;
    if (route !== "putEndpoint" && route !== "deleteEndpoint") return { route };
    const [containerId = "", ifname = ""] = parts.slice(-2);
    return { route, id: { containerId, ifname } };
  }
  return undefined;
}

function isPlaceholder(name: string): boolean {
  return name === "CONTAINER" || name === "IFNAME";
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
