/**
 * What the runtime's TLS library says of a certificate and its key. A client ends the process over a
 * pair that the library does not take (`create_client_config` of Deno's ext/tls/lib.rs expects it to);
 * a server is made of a pair by the same code of rustls (`CertifiedKey::from_der`), and says why not. So
 * a listener on loopback, closed before it could accept anything, is the trial.
 */

import { messageOf } from "../base/error.ts";

/**
 * Tries certificate authorities, in a third of a millisecond each.
 *
 * @param pem their PEM text
 * @returns the library's reason not to trust one of them; `undefined` = it trusts all
 */
export function findAuthorityRefusal(pem: string): string | undefined {
  try {
    Deno.createHttpClient({ caCerts: [pem] }).close();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Loopback addresses: a process that may listen has one of them. */
const LOOPBACK = ["127.0.0.1", "::1"];

/**
 * Tries a pair, in a fifth of a millisecond.
 *
 * @param pair PEM texts
 * @returns the library's reason not to take it; `undefined` = it does. A trial that cannot be made (no
 * descriptor is left) is a reason too: without one the process is at stake.
 */
export function findRefusal(
  pair: { readonly certificate: string; readonly key: string },
): string | undefined {
  let reason: unknown;
  for (const hostname of LOOPBACK) {
    try {
      Deno.listenTls({ hostname, port: 0, cert: pair.certificate, key: pair.key }).close();
      return undefined;
    } catch (error) {
      reason = error;
      if (!(error instanceof Deno.errors.AddrNotAvailable)) break;
    }
  }
  return messageOf(reason);
}
