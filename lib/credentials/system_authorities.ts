/** The certificate authorities that this system trusts, for an API server whose CA is not given. */

import { CredentialsError } from "./error.ts";

/** Where distributions keep them: crypto/x509/root_linux.go of Go, which kubectl looks through. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * Reads them, as PEM text.
 *
 * @throws {CredentialsError} if there are none
 */
export function readSystemAuthorities(): string {
  for (const path of BUNDLES) {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      // Another distribution's file, or not readable for us.
    }
  }
  throw new CredentialsError(
    "No CA is given for the API server, and this system has none of its own: give the server's in " +
      "certificate-authority or K8S_CA_FILE",
  );
}
