/**
 * Certificates for servers and clients of a test, made by openssl(1) in a directory of the test's
 * own: a CA, a server on loopback, a client that the real API server takes for an administrator.
 */

/** Where the PEM files are. */
export interface Certificates {
  readonly caFile: string;
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
  /** Common name `calyx-admin`, organization `system:masters`. */
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
}

const SCRIPT = `set -eu
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
sign() { # NAME SUBJECT EXTENSIONS
  key "$1.key"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  printf '%s\\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 \\
    -extfile "$1.ext" -out "$1.crt"
}
key ca.key
openssl req -x509 -new -key ca.key -subj "$1" -days 30 -out ca.crt
sign server /CN=calyx-test-server "subjectAltName=$2"
sign client /O=system:masters/CN=calyx-admin "extendedKeyUsage=clientAuth"
`;

/** Names and addresses that the server's certificate is for. */
const SERVER_NAMES = ["DNS:localhost", "DNS:kubernetes.default", "IP:127.0.0.1", "IP:::1"];

/**
 * Makes a CA, a server's and a client's certificate in `directory`.
 *
 * @param names further names of the server: `IP:192.0.2.1`, `DNS:api.test`
 * @throws {Error} if openssl fails, with what it said
 */
export async function makeCertificates(
  directory: string,
  { names = [], caName = "calyx-test-ca" }: {
    readonly names?: readonly string[];
    readonly caName?: string;
  } = {},
): Promise<Certificates> {
  const { success, stderr } = await new Deno.Command("sh", {
    args: ["-c", SCRIPT, "sh", `/CN=${caName}`, [...SERVER_NAMES, ...names].join(",")],
    cwd: directory,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(`openssl cannot make certificates: ${new TextDecoder().decode(stderr)}`);
  }
  return {
    caFile: `${directory}/ca.crt`,
    serverCertFile: `${directory}/server.crt`,
    serverKeyFile: `${directory}/server.key`,
    clientCertFile: `${directory}/client.crt`,
    clientKeyFile: `${directory}/client.key`,
  };
}
