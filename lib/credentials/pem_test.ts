import { assert, assertEquals, assertThrows } from "@std/assert";
import { FakeAuthority } from "../../tests/support/kubernetes/fake_authority.ts";
import { Chance } from "../../tests/support/chance.ts";
import { CredentialsError } from "./error.ts";
import { checkAuthorities, checkCertificate } from "./pem.ts";

const NAMES = { certificate: 'certificate "/c"', key: 'key "/k"' };
const HOUR_MS = 3_600_000;

async function openssl(...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("openssl", { args, stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}

function messageOf(f: () => unknown): string {
  return assertThrows(f, CredentialsError).message;
}

Deno.test("checkCertificate() says what is wrong with a pair, and stops no process", async () => {
  await using authority = await FakeAuthority.create();
  const { certificate, key } = await authority.issue("client");
  const other = await authority.issue("other");
  const broken = (what: string): string => `-----BEGIN ${what}-----\nAAAA\n-----END ${what}-----\n`;
  const encrypted = await openssl(
    ...["pkcs8", "-topk8", "-in", `${authority.folder}/client.key`, "-passout", "pass:x"],
  );
  const kind = "is of a kind that TLS does not take here: use RSA with 2048 bits or more, " +
    "ECDSA on P-256, P-384 or P-521, or Ed25519";
  const cases: readonly (readonly [string, { certificate: string; key: string }, string])[] = [
    [
      "another's key",
      { certificate, key: other.key },
      'Key "/k" does not belong to certificate "/c": name the key it was made with',
    ],
    [
      "no PEM",
      { certificate: "hello", key },
      'Certificate "/c" holds no PEM certificate: it must have a "-----BEGIN CERTIFICATE-----" block',
    ],
    [
      "swapped",
      { certificate: key, key: certificate },
      'Certificate "/c" holds no PEM certificate but a private key: ' +
      'it must have a "-----BEGIN CERTIFICATE-----" block',
    ],
    [
      "garbage in PEM",
      { certificate: broken("CERTIFICATE"), key },
      'Certificate "/c" is damaged: its PEM certificate cannot be decoded, copy it again',
    ],
    [
      "garbage after the first",
      { certificate: certificate + broken("CERTIFICATE"), key },
      'Certificate "/c" is damaged: its PEM certificate number 2 cannot be decoded, copy it again',
    ],
    [
      "no PEM key",
      { certificate, key: "hello" },
      'Key "/k" holds no PEM private key: it must have a "-----BEGIN PRIVATE KEY-----" block',
    ],
    [
      "a certificate as key",
      { certificate, key: certificate },
      'Key "/k" holds no PEM private key but a certificate: ' +
      'it must have a "-----BEGIN PRIVATE KEY-----" block',
    ],
    [
      "garbage in PEM key",
      { certificate, key: broken("PRIVATE KEY") },
      'Key "/k" is damaged: its PEM private key cannot be decoded, copy it again',
    ],
    [
      "an encrypted key",
      { certificate, key: encrypted },
      'Key "/k" is encrypted, and its passphrase cannot be asked for here: decrypt it',
    ],
    ["a short key", { certificate, key: await openssl("genrsa", "1024") }, `Key "/k" ${kind}`],
    [
      "an odd curve",
      { certificate, key: await openssl("genpkey", "-algorithm", "ED448") },
      `Key "/k" ${kind}`,
    ],
  ];
  for (const [name, pem, expected] of cases) {
    assertEquals(messageOf(() => checkCertificate(pem, NAMES, Date.now())), expected, name);
  }
});

Deno.test("checkCertificate() knows when a certificate begins and ends", async () => {
  await using authority = await FakeAuthority.create();
  const pem = await authority.issue("client");
  const nowMs = Date.now();
  const { expiresAtMs } = checkCertificate(pem, NAMES, nowMs);
  assert(Math.abs(expiresAtMs - nowMs - 24 * HOUR_MS) < 60_000);
  const isoOf = (atMs: number): string => new Date(atMs).toISOString().replace(".000Z", "Z");
  assertEquals(
    messageOf(() => checkCertificate(pem, NAMES, expiresAtMs + 1)),
    `Certificate "/c" expired on ${isoOf(expiresAtMs)}: renew it`,
  );
  assertEquals(
    messageOf(() => checkCertificate(pem, NAMES, nowMs - HOUR_MS)),
    `Certificate "/c" is valid only from ${isoOf(expiresAtMs - 24 * HOUR_MS)} on: ` +
      "set this machine's clock or renew it",
  );
});

Deno.test("checkCertificate() takes every kind of key that TLS takes", async () => {
  const folder = await Deno.makeTempDir();
  const kinds: Readonly<Record<string, readonly string[]>> = {
    rsa: ["rsa:2048"],
    p384: ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    p521: ["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
    ed25519: ["ed25519"],
  };
  for (const [name, kind] of Object.entries(kinds)) {
    const keyFile = `${folder}/${name}.key`;
    const certificate = await openssl(
      ...["req", "-x509", "-newkey", ...kind, "-nodes", "-subj", "/CN=x", "-keyout", keyFile],
    );
    const key = await Deno.readTextFile(keyFile);
    checkCertificate({ certificate, key }, NAMES, Date.now());
    // What passes the check must not stop the process here.
    Deno.createHttpClient({ cert: certificate, key }).close();
  }
  await Deno.remove(folder, { recursive: true });
});

Deno.test("checkCertificate() lets nothing pass that would end the process", async () => {
  await using authority = await FakeAuthority.create();
  const pair = await authority.issue("client");
  const chance = new Chance();
  await Deno.stderr.write(new TextEncoder().encode(`seed ${chance.seed}\n`));
  const certificate = derOf(pair.certificate);
  const mutants = [namesOfAnotherTag(certificate)];
  for (let count = 0; count < 300; count++) {
    const mutant = certificate.slice();
    mutant[chance.below(mutant.length)] = chance.below(256);
    mutants.push(mutant);
  }
  for (const mutant of mutants) {
    const pem = `-----BEGIN CERTIFICATE-----\n${mutant.toBase64()}\n-----END CERTIFICATE-----\n`;
    try {
      const taken = checkCertificate({ ...pair, certificate: pem }, NAMES, Date.now());
      Deno.createHttpClient({ cert: taken.certificate, key: taken.key }).close();
    } catch (error) {
      assert(error instanceof CredentialsError, String(error));
    }
  }
  assertEquals(
    messageOf(() => {
      const [first] = mutants;
      const pem = `-----BEGIN CERTIFICATE-----\n${first?.toBase64()}\n-----END CERTIFICATE-----\n`;
      checkCertificate({ ...pair, certificate: pem }, NAMES, Date.now());
    }),
    'Certificate "/c" is not encoded as TLS takes it (strict DER): issue it again ' +
      "(invalid peer certificate: BadEncoding)",
  );
});

function derOf(pem: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(pem.replace(/-----.*-----/g, "").replace(/\s/g, ""));
}

/** The certificate whose names are no SEQUENCE but an OCTET STRING: OpenSSL does not mind. */
function namesOfAnotherTag(certificate: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const subjectAltName = [0x06, 3, 0x55, 0x1d, 17, 0x04];
  const at = certificate.findIndex((_, start) =>
    subjectAltName.every((byte, index) => certificate[start + index] === byte)
  );
  assert(at > 0);
  return certificate.with(at + subjectAltName.length + 1, 0x04);
}

Deno.test("checkAuthorities() takes bundles and refuses what is none", async () => {
  await using authority = await FakeAuthority.create();
  const pem = await Deno.readTextFile(authority.caFile);
  checkAuthorities(`# a comment\n${pem}\n${pem}`, "CA");
  assertEquals(
    messageOf(() => checkAuthorities("", "CA of x")),
    'CA of x holds no PEM certificate: it must have a "-----BEGIN CERTIFICATE-----" block',
  );
});

Deno.test("checkAuthorities() leaves out what TLS cannot use, and names it", async () => {
  await using authority = await FakeAuthority.create();
  const pem = await Deno.readTextFile(authority.caFile);
  const selfSigned = (...more: readonly string[]): Promise<string> =>
    openssl(
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null"],
      ...["-subj", "/O=testers/CN=odd", ...more],
    );
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const critical = await selfSigned("-addext", "1.2.3.4=critical,ASN1:UTF8String:x");
  const flaw =
    "has a critical extension that TLS does not know here: issue it again without, or not " +
    'as critical; "openssl x509 -noout -text" shows which ' +
    "(invalid peer certificate: Other(OtherError(UnsupportedCriticalExtension)))";
  const damage = (which: string): string =>
    `CA "/x" is damaged: its PEM certificate${which} cannot be decoded, copy it again`;
  const whole = checkAuthorities(pem, 'CA "/x"').pem;
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ["sound ones", pem + pem, []],
    ["one that is garbage", broken + pem, [damage(" number 1")]],
    ["one with an extension", pem + critical, [
      `CA "/x": certificate number 2 (O=testers, CN=odd) ${flaw}`,
    ]],
    ["a bad one at either end", broken + pem + broken, [damage(" number 1"), damage(" number 3")]],
  ];
  for (const [what, text, unused] of cases) {
    const checked = checkAuthorities(text, 'CA "/x"');
    assertEquals([checked.unused, checked.pem.includes(whole)], [unused, true], what);
    Deno.createHttpClient({ caCerts: [checked.pem] }).close();
  }
  assertEquals(messageOf(() => checkAuthorities(broken, 'CA "/x"')), damage(""));
  assertEquals(messageOf(() => checkAuthorities(broken + broken, 'CA "/x"')), damage(" number 1"));
  assertEquals(
    messageOf(() => checkAuthorities(critical, 'CA "/x"')),
    `CA "/x": (O=testers, CN=odd) ${flaw}`,
  );
});
