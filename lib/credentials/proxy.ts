/** A kubeconfig's `proxy-url`, for `fetch`. */

import { CredentialsError } from "./error.ts";
import { sentence } from "./material.ts";

const PROTOCOLS: readonly string[] = ["http:", "https:", "socks5:", "socks5h:"];

/**
 * Parses a proxy URL; `name` says whose it is. It is never repeated: it may hold a password.
 *
 * @throws {CredentialsError} if it is no URL, or of a kind that there is no client for
 */
export function parseProxy(text: unknown, name: string): Deno.Proxy | undefined {
  if (text === undefined || text === null || text === "") return undefined;
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !PROTOCOLS.includes(url.protocol)) {
    throw new CredentialsError(
      `${sentence(name)} has a proxy-url that is not supported: ` +
        `it must begin with "http://", "https://", "socks5://" or "socks5h://"`,
    );
  }
  const { username, password } = url;
  if (username === "" && password === "") return { url: url.href };
  if (url.protocol.startsWith("socks")) return { url: url.href };
  url.username = "";
  url.password = "";
  const basicAuth = {
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
  };
  return { url: url.href, basicAuth };
}
