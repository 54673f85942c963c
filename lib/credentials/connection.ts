/** Where the API server is, whom we trust it to be and who we are. */

import { CredentialsError } from "./error.ts";
import type { Login } from "./login.ts";
import type { Material } from "./material.ts";
import type { Proxy } from "./proxy.ts";

/** A client certificate and its key. */
export interface KeyPair {
  readonly certificate: Material;
  readonly key: Material;
}

/** Everything that a client needs. */
export interface Connection {
  /** URL without a slash at its end. */
  readonly server: string;
  /** `undefined`: the system's certificate authorities. */
  readonly authority: Material | undefined;
  readonly pair: KeyPair | undefined;
  readonly login: Login | undefined;
  /** Headers of every request: whom to impersonate. */
  readonly headers: Readonly<Record<string, string>>;
  readonly proxy: Proxy | undefined;
  /** Whether the kubeconfig has changed since, so that another connection would be chosen. */
  isStale(): Promise<boolean>;
}

/** A connection before explicit values override it. */
export interface FoundConnection extends Connection {
  /** For messages: `cluster "x" of kubeconfig "/y"`. */
  readonly name: string;
  /** The kubeconfig asks not to verify the server. */
  readonly isUnverified: boolean;
}

/**
 * Checks the URL of an API server; the result has no slash at its end.
 *
 * @throws {CredentialsError} if it is none
 */
export function parseServer(text: string, source: string): string {
  const trimmed = text.trim();
  // What stands before an "@" may be a password.
  const shown = JSON.stringify(trimmed.replace(/^([^/]*\/\/)?[^/]*@/, "$1…@"));
  const url = URL.canParse(trimmed) ? new URL(trimmed) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    const example = /^[\w.:[\]-]+$/.test(trimmed) ? `https://${trimmed}` : "https://10.0.0.1:6443";
    throw new CredentialsError(
      `API server ${shown} (${source}) is no URL: write it like "${example}"`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new CredentialsError(
      `API server ${shown} (${source}) has a user in its URL: take it out and use a token`,
    );
  }
  if (url.search !== "" || url.hash !== "") {
    throw new CredentialsError(
      `API server ${shown} (${source}) has more than a path in its URL: take "?" and "#" out`,
    );
  }
  return url.href.replace(/\/+$/, "");
}
