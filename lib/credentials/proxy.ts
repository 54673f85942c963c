/**
 * Through which proxy the API server is asked: a kubeconfig's `proxy-url`, or what the environment says,
 * read as kubectl reads it (golang.org/x/net/http/httpproxy).
 */

import { Address } from "../ip/address.ts";
import { Prefix } from "../ip/prefix.ts";
import { setting, type SettingTable, variablesOf } from "../settings/setting.ts";
import { text } from "../settings/value_type.ts";
import { CredentialsError } from "./error.ts";
import { sentence } from "./material.ts";
import type { Environment } from "../settings/read.ts";

/** The variables that name one, and what is not asked through it. */
export const PROXY_SETTINGS = {
  secure: setting({
    variables: ["HTTPS_PROXY", "https_proxy"],
    type: text("URL"),
    help: "proxy to an API server whose URL begins with https",
  }),
  plain: setting({
    variables: ["HTTP_PROXY", "http_proxy"],
    type: text("URL"),
    help: "proxy to an API server whose URL begins with http",
  }),
  exceptions: setting({
    variables: ["NO_PROXY", "no_proxy"],
    type: text("LIST"),
    help: "hosts, domains, addresses and CIDRs that are asked without a proxy, separated by " +
      "commas; * = all. Loopback is always asked without",
  }),
} as const satisfies SettingTable;

/** A proxy for `fetch`. */
export interface Proxy {
  /** For messages: `proxy http://10.0.0.1:3128 (HTTPS_PROXY)`. Without user and password. */
  readonly name: string;
  readonly options: Deno.Proxy;
}

const PROTOCOLS: readonly string[] = ["http:", "https:", "socks5:", "socks5h:"];
const DEFAULT_PORTS: Readonly<Record<string, string>> = { "http:": "80", "https:": "443" };

/**
 * Parses a kubeconfig's `proxy-url`; `name` says whose it is.
 *
 * @throws {CredentialsError} if it is no URL, or of a kind that there is no client for. It is never
 * repeated: it may hold a password.
 */
export function parseProxy(text: unknown, name: string): Proxy | undefined {
  if (text === undefined || text === null || text === "") return undefined;
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !PROTOCOLS.includes(url.protocol)) {
    throw unsupported(`${sentence(name)} has a proxy-url`);
  }
  return proxyOf(url, `proxy-url of ${name}`);
}

/**
 * The proxy that the environment names for the API server. Loopback is never asked through one, nor what
 * NO_PROXY holds: hosts with all that is below them (`example.com`), what is below alone
 * (`.example.com`), addresses, CIDRs, each with a port or without, and `*`.
 *
 * @param server the API server's URL
 * @throws {CredentialsError} if what it names is none
 */
export function environmentProxy(server: string, environment: Environment): Proxy | undefined {
  const url = new URL(server);
  const row = url.protocol === "https:" ? PROXY_SETTINGS.secure : PROXY_SETTINGS.plain;
  const [name, written] = variablesOf(row)
    .map((it) => [it, environment[it]?.trim()] as const)
    .find(([, value]) => value) ?? [];
  if (name === undefined || written === undefined) return undefined;
  const exceptions = variablesOf(PROXY_SETTINGS.exceptions).map((it) => environment[it]);
  if (isDirect(url, exceptions.find(Boolean) ?? "")) return undefined;
  const address = written.includes("://") ? written : `http://${written}`;
  const proxy = URL.canParse(address) ? new URL(address) : undefined;
  if (proxy === undefined || !PROTOCOLS.includes(proxy.protocol)) {
    throw unsupported(`${name} names a proxy`);
  }
  return proxyOf(proxy, name);
}

function unsupported(what: string): CredentialsError {
  return new CredentialsError(
    `${what} that is not supported: ` +
      `it must be a URL that begins with "http://", "https://", "socks5://" or "socks5h://"`,
  );
}

function proxyOf(url: URL, source: string): Proxy {
  const name = `proxy ${url.protocol}//${url.host} (${source})`;
  const { username, password } = url;
  if ((username === "" && password === "") || url.protocol.startsWith("socks")) {
    return { name, options: { url: url.href } };
  }
  const basicAuth = {
    username: decode(username, source),
    password: decode(password, source),
  };
  url.username = "";
  url.password = "";
  return { name, options: { url: url.href, basicAuth } };
}

function decode(text: string, source: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new CredentialsError(
      `User or password of the proxy (${source}) is malformed: write what is no letter or digit as UTF-8 in ` +
        `percent, "%" as "%25"`,
    );
  }
}

const LOOPBACK = ["127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104"].map((it) => Prefix.parse(it));

/** Whether a host is this machine by its name or address. */
export function isLoopback(hostname: string): boolean {
  const host = bare(hostname);
  const address = Address.tryParse(host);
  return host === "localhost" ||
    (address !== undefined && LOOPBACK.some((it) => it.contains(address)));
}

function isDirect(url: URL, exceptions: string): boolean {
  if (isLoopback(url.hostname)) return true;
  const host = bare(url.hostname);
  const port = url.port || (DEFAULT_PORTS[url.protocol] ?? "");
  const address = Address.tryParse(host);
  return exceptions.split(",").map((it) => it.trim().toLowerCase()).some((entry) => {
    if (entry === "*") return true;
    const block = entry.includes("/") ? Prefix.tryParse(entry) : undefined;
    if (block !== undefined) {
      return address !== undefined && block.contains(address);
    }
    const [name, ofPort] = splitPort(entry);
    if (name === "" || (ofPort !== undefined && ofPort !== port)) return false;
    const exception = Address.tryParse(name);
    if (exception !== undefined) return exception.toString() === address?.toString();
    const domain = name.replace(/^\*?\./, "");
    return host.endsWith(`.${domain}`) || (domain === name && host === domain);
  });
}

/** `host:80`, `[fd00::1]:80`, `host`, `fd00::1`. */
function splitPort(entry: string): readonly [name: string, port: string | undefined] {
  const [, inside, port] = /^\[(.*)\](?::(\d+))?$/.exec(entry) ?? [];
  if (inside !== undefined) return [inside, port];
  const [, host, ofHost] = /^([^:]+):(\d+)$/.exec(entry) ?? [];
  return host === undefined ? [entry, undefined] : [host, ofHost];
}

/** Without the brackets of a URL, and the dot at a name's end. */
function bare(hostname: string): string {
  return hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}
