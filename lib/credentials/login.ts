/** Authentication of requests by bearer token or password. Plug-ins are in `plugin.ts`. */

import { CredentialsError } from "./error.ts";
import { type Material, sentence } from "./material.ts";
import { Secret } from "./secret.ts";

/** The identity of a request: a header, a client certificate, or both. */
export interface Identity {
  /** The value of the `Authorization` header. */
  readonly authorization: Secret | undefined;
  /** PEM texts. */
  readonly pair: { readonly certificate: Secret; readonly key: Secret } | undefined;
}

/** A way to authenticate. */
export interface Login {
  /** For messages: `token "/run/token" (K8S_TOKEN_FILE)`. Never a secret. */
  readonly name: string;
  /**
   * Returns the identity to send with a request. `isForced`: the server refused the last one, so a cached
   * one must not be used.
   *
   * @throws {CredentialsError} if there is none
   */
  identify(isForced: boolean): Promise<Identity>;
}

/** A login by bearer token. */
export function tokenLogin(token: Material): Login {
  return {
    name: token.name,
    async identify(isForced) {
      const text = (await token.read(isForced)).reveal();
      return { authorization: bearer(text, token.name), pair: undefined };
    },
  };
}

/** A login by user name and password, which proxies before an API server may ask for. */
export function passwordLogin(name: string, username: string, password: Secret): Login {
  const bytes = new TextEncoder().encode(`${username}:${password.reveal()}`);
  const authorization = new Secret(`Basic ${btoa(String.fromCharCode(...bytes))}`);
  return { name, identify: () => Promise.resolve({ authorization, pair: undefined }) };
}

/**
 * The header's value for a token.
 *
 * @throws {CredentialsError} if the token has characters that a header cannot carry
 */
export function bearer(token: string, name: string): Secret {
  const text = token.trim();
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw new CredentialsError(
      `${sentence(name)} is no bearer token: it must be one line of printable characters`,
    );
  }
  return new Secret(`Bearer ${text}`);
}
