/**
 * Certificates and keys that the TLS library does not take, against the compiled executables: one
 * sentence, never a panic.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { startApiServer } from "../support/kubernetes/api_server/server.ts";
import { makeCertificates } from "../support/kubernetes/certificates.ts";
import { runExecutable } from "../support/program/executable.ts";
import { missingProgram, programTest, skippableTest } from "../support/program/program.ts";

/** Client certificates of the CA in the folder, each NAME.crt with NAME.key. */
const SCRIPT = `set -eu
issue() { # NAME KEY EXTENSIONS [FLAGS…]
  name=$1 key=$2 extensions=$3; shift 3
  openssl req -new -key "$key" -subj /O=o/CN=c -out "$name.csr" "$@"
  if [ -n "$extensions" ]; then
    printf '%b' "$extensions" >"$name.ext"
    set -- -extfile "$name.ext"
  else
    set --
  fi
  openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 "$@" -out "$name.crt"
  [ -e "$name.key" ] || cp "$key" "$name.key"
}
usage='extendedKeyUsage=clientAuth\\n'
issue v1 client.key ''
issue critical client.key "\${usage}1.2.3.4=critical,ASN1:NULL\\n"
openssl ecparam -name prime256v1 -genkey -out parameters.key
issue parameters parameters.key "$usage"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
issue rsa rsa.key "$usage"
cat rsa.crt rsa.key >both.crt; cp both.crt both.key
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out pss.key
issue pss pss.key "$usage"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out explicit.key
issue explicit explicit.key "$usage"
openssl ec -in client.key -conv_form compressed -out compressed.key
issue compressed compressed.key "$usage"
cat client.key rsa.key >two.key; cp client.crt two.crt
head -c 300 client.crt >cut.crt; cp client.key cut.key
`;

/** What becomes of each; `undefined`: it works. */
const CASES: Readonly<Record<string, RegExp | undefined>> = {
  client: undefined,
  parameters: undefined,
  rsa: undefined,
  both: undefined,
  two: undefined,
  v1: /v1\.crt" .*is of X\.509 version 1 or 2, which TLS does not take here: issue it again/,
  critical: /critical\.crt" .*has a critical extension that TLS does not know here: issue it again/,
  pss: /pss\.key" .*is (?:of a kind that TLS does not take here|damaged)/,
  explicit: /explicit\.(?:key|crt)" /,
  cut: /cut\.crt" .*holds no PEM certificate/,
};

programTest(
  "a client certificate is taken, or refused in one sentence",
  ["openssl"],
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const files = await makeCertificates(folder);
      const { success, stderr } = await new Deno.Command("sh", {
        args: ["-c", SCRIPT],
        cwd: folder,
        stdout: "null",
        stderr: "piped",
      }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      const [cert, key] = await Promise.all(
        [files.serverCertFile, files.serverKeyFile].map((it) => Deno.readTextFile(it)),
      );
      await using api = startApiServer({ tls: { cert: cert ?? "", key: key ?? "" } });
      for (const [name, refusal] of Object.entries({ ...CASES, compressed: /./ })) {
        const { code, stderr } = await runExecutable("calyxctl", {
          args: ["get", "nodes"],
          env: {
            K8S_API_ENDPOINT: api.url,
            K8S_CA_FILE: files.caFile,
            K8S_CERT_FILE: `${folder}/${name}.crt`,
            K8S_KEY_FILE: `${folder}/${name}.key`,
          },
        });
        if (name === "compressed") {
          assertEquals(code === 0 || code === 1, true, stderr);
          continue;
        }
        assertEquals(code, refusal === undefined ? 0 : 1, `${name}: ${stderr}`);
        if (refusal === undefined) continue;
        assertMatch(stderr, refusal);
        assertEquals(stderr.trim().split("\n").length, 1, stderr);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

skippableTest(
  "no variable of the runtime makes another CA trusted, or another proxy used",
  missingProgram(["openssl"]),
  async () => {
    const folders = [await Deno.makeTempDir(), await Deno.makeTempDir()];
    try {
      const [own, other] = await Promise.all(folders.map((it) => makeCertificates(it)));
      if (own === undefined || other === undefined) throw new Error("There are no certificates");
      const [cert, key] = await Promise.all(
        [own.serverCertFile, own.serverKeyFile].map((it) => Deno.readTextFile(it)),
      );
      await using api = startApiServer({ tls: { cert: cert ?? "", key: key ?? "" } });
      const nodes = (env: Readonly<Record<string, string>>) =>
        runExecutable("calyxctl", {
          args: ["get", "nodes"],
          env: { K8S_API_ENDPOINT: api.url, ...env },
        });
      const doors: readonly Readonly<Record<string, string>>[] = [
        { DENO_CERT: own.caFile },
        { DENO_TLS_CA_STORE: "system", SSL_CERT_FILE: own.caFile },
        { DENO_TLS_CA_STORE: "system,mozilla", DENO_CERT: own.caFile, SSL_CERT_FILE: own.caFile },
      ];
      for (const door of doors) {
        const { code, stderr } = await nodes({ K8S_CA_FILE: other.caFile, ...door });
        assertEquals(code, 1, JSON.stringify(door));
        assertMatch(stderr, /is not signed by CA ".*ca\.crt" \(K8S_CA_FILE\): give the CA that/);
        assertEquals((await nodes({ K8S_CA_FILE: own.caFile, ...door })).code, 0);
      }
      // Nothing listens there, and loopback is never asked through it.
      const proxy = "http://127.0.0.1:9";
      const proxies = {
        HTTPS_PROXY: proxy,
        https_proxy: proxy,
        HTTP_PROXY: proxy,
        ALL_PROXY: proxy,
      };
      assertEquals((await nodes({ K8S_CA_FILE: own.caFile, ...proxies })).code, 0);
      const { code, stderr } = await nodes({
        ...proxies,
        K8S_CA_FILE: own.caFile,
        K8S_API_ENDPOINT: "https://192.0.2.1:6443",
      });
      assertEquals(code, 1);
      assertMatch(stderr, /does not answer through proxy http:\/\/127\.0\.0\.1:9 \(HTTPS_PROXY\)/);
    } finally {
      for (const it of folders) await Deno.remove(it, { recursive: true });
    }
  },
);

Deno.test("a token is not sent in clear to another machine", async () => {
  const { code, stderr } = await runExecutable("calyxctl", {
    args: ["get", "nodes"],
    env: { K8S_API_ENDPOINT: "http://192.0.2.1:8080", K8S_TOKEN: "hush" },
  });
  assertEquals(code, 1);
  assertEquals(
    stderr,
    "calyxctl: Token (K8S_TOKEN) would be readable on the way to http://192.0.2.1:8080: " +
      "use https, or no token\n",
  );
});
