/**
 * Checks of PEM texts before they go into a TLS client, which stops the process over a certificate or a
 * key that it does not take: the library is asked first, as trial.ts says. What goes there is written again
 * from what was read, so that both read the same. RFC 7468 for the text, RFC 5280 for what is in it.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { assert } from "../base/assert.ts";
import { CredentialsError } from "./error.ts";
import { sentence } from "./material.ts";
import { findAuthorityRefusal, findRefusal } from "./trial.ts";

/** A client certificate that passed the checks, as PEM texts, and when it stops being valid. */
export interface CheckedCertificate {
  /** The chain. */
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
  readonly expiresAtMs: number;
}

const CERTIFICATE_REGEXP = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;
/** The first one: EC PARAMETERS, certificates and other keys may stand beside it. */
const PRIVATE_KEY_REGEXP =
  /-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----[\s\S]*?-----END \1-----|-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/;
/** What rustls can sign with. */
const CURVES: readonly string[] = ["prime256v1", "secp384r1", "secp521r1"];
const RSA_BITS_MIN = 2048;

/**
 * Checks a client certificate and its key; `names` say what they are, for the messages.
 *
 * @throws {CredentialsError} if one of them is garbage, they do not fit, or the time is not right
 */
export function checkCertificate(
  pem: { readonly certificate: string; readonly key: string },
  names: { readonly certificate: string; readonly key: string },
  nowMs: number,
): CheckedCertificate {
  const chain = parseCertificates(pem.certificate, names.certificate);
  const key = parseKey(pem.key, names.key);
  const [certificate] = chain;
  assert(certificate !== undefined);
  const checked = {
    certificate: formatCertificates(chain),
    key: String(key.export({ type: "pkcs8", format: "pem" })),
  };
  const reason = findRefusal(checked);
  if (reason !== undefined) throw describeRefusal(reason, names);
  const expiresAtMs = Date.parse(certificate.validTo);
  if (nowMs > expiresAtMs) {
    throw new CredentialsError(
      `${sentence(names.certificate)} expired on ${formatTime(expiresAtMs)}: renew it`,
    );
  }
  const startsAtMs = Date.parse(certificate.validFrom);
  if (nowMs < startsAtMs) {
    throw new CredentialsError(
      `${sentence(names.certificate)} is valid only from ${formatTime(startsAtMs)} on: ` +
        `set this machine's clock or renew it`,
    );
  }
  return { ...checked, expiresAtMs };
}

/** The problem of a certificate and its remedy, by the library's reason. */
const FLAWS: readonly (readonly [reason: RegExp, flaw: string])[] = [
  [
    /UnsupportedCertVersion/,
    "is of X.509 version 1 or 2, which TLS does not take here: issue it again with an extension, as by " +
    `"openssl x509 -req … -extfile FILE", where FILE says "extendedKeyUsage=clientAuth"`,
  ],
  [
    /UnsupportedCriticalExtension/,
    "has a critical extension that TLS does not know here: issue it again without, or not as critical; " +
    `"openssl x509 -noout -text" shows which`,
  ],
  [
    /SignatureAlgorithmMismatch/,
    "names two different signature algorithms: issue it again",
  ],
  [/BadEncoding/, "is not encoded as TLS takes it (strict DER): issue it again"],
];

/** Why the library refuses a certificate with its key. */
function describeRefusal(
  reason: string,
  names: { readonly certificate: string; readonly key: string },
): CredentialsError {
  if (reason.includes("KeyMismatch")) {
    return new CredentialsError(
      `${
        sentence(names.key)
      } does not belong to ${names.certificate}: name the key it was made with`,
    );
  }
  if (reason.includes("os error")) {
    return new CredentialsError(
      `${sentence(names.certificate)} cannot be tried, without which it is not used: ${reason}`,
    );
  }
  const flaw = FLAWS.find(([it]) => it.test(reason))?.[1];
  return new CredentialsError(
    flaw === undefined
      ? `TLS does not take ${names.certificate} with ${names.key} (${reason}): issue both again`
      : `${sentence(names.certificate)} ${flaw} (${reason})`,
  );
}

function formatCertificates(chain: readonly X509Certificate[]): string {
  return chain.map((it) => {
    const lines = new Uint8Array(it.raw).toBase64().match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
  }).join("");
}

/** Certificate authorities that TLS takes, as PEM text, and why others that stand beside them are not used. */
export interface CheckedAuthorities {
  readonly pem: string;
  /** Sentences that name the certificate. */
  readonly unused: readonly string[];
}

/**
 * Checks a bundle of certificate authorities. One that cannot be used is left out, as kubectl does
 * (`CertPool.AppendCertsFromPEM` of Go's crypto/x509); a bundle without any other is refused.
 *
 * @throws {CredentialsError} if there is no certificate in it, or none that can be used
 */
export function checkAuthorities(pem: string, name: string): CheckedAuthorities {
  const blocks = findCertificates(pem, name);
  const parsed = blocks.map((block) => tryParse(block));
  const all = parsed.filter((it) => it !== undefined);
  if (all.length === blocks.length) {
    const text = formatCertificates(all);
    if (findAuthorityRefusal(text) === undefined) return { pem: text, unused: [] };
  }
  const used: X509Certificate[] = [];
  const unused: string[] = [];
  for (const [index, certificate] of parsed.entries()) {
    const reason = certificate === undefined
      ? undefined
      : findAuthorityRefusal(formatCertificates([certificate]));
    if (certificate !== undefined && reason === undefined) used.push(certificate);
    else unused.push(describeUnused(name, { index, count: blocks.length, certificate, reason }));
  }
  if (used.length === 0) throw new CredentialsError(unused[0] ?? describeDamage(name));
  return { pem: formatCertificates(used), unused };
}

/** Why one of a bundle is not used; `reason` is the library's, of one that could be decoded. */
function describeUnused(name: string, { index, count, certificate, reason = "" }: {
  readonly index: number;
  readonly count: number;
  readonly certificate: X509Certificate | undefined;
  readonly reason?: string | undefined;
}): string {
  const number = count === 1 ? undefined : index + 1;
  if (certificate === undefined) return describeDamage(name, number);
  const subject = certificate.subject.replaceAll("\n", ", ");
  const which = number === undefined ? `(${subject})` : `certificate number ${number} (${subject})`;
  const flaw = FLAWS.find(([it]) => it.test(reason))?.[1] ?? "is not taken by TLS: issue it again";
  return `${sentence(name)}: ${which} ${flaw} (${reason})`;
}

function parseCertificates(pem: string, name: string): X509Certificate[] {
  const blocks = findCertificates(pem, name);
  return blocks.map((block, index) => {
    const certificate = tryParse(block);
    if (certificate !== undefined) return certificate;
    throw new CredentialsError(describeDamage(name, blocks.length === 1 ? undefined : index + 1));
  });
}

/** The PEM blocks, at least one. */
function findCertificates(pem: string, name: string): readonly string[] {
  const blocks = pem.match(CERTIFICATE_REGEXP) ?? [];
  if (blocks.length > 0) return blocks;
  const hint = PRIVATE_KEY_REGEXP.test(pem) ? " but a private key" : "";
  throw new CredentialsError(
    `${sentence(name)} holds no PEM certificate${hint}: ` +
      `it must have a "-----BEGIN CERTIFICATE-----" block`,
  );
}

function tryParse(block: string): X509Certificate | undefined {
  try {
    return new X509Certificate(block);
  } catch {
    return undefined;
  }
}

function describeDamage(name: string, number?: number): string {
  const which = number === undefined ? "" : ` number ${number}`;
  return `${
    sentence(name)
  } is damaged: its PEM certificate${which} cannot be decoded, copy it again`;
}

function parseKey(pem: string, name: string): KeyObject {
  if (/ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw new CredentialsError(
      `${sentence(name)} is encrypted, and its passphrase cannot be asked for here: decrypt it`,
    );
  }
  const block = PRIVATE_KEY_REGEXP.exec(pem)?.[0];
  if (block === undefined) {
    const hint = pem.includes("BEGIN CERTIFICATE") ? " but a certificate" : "";
    throw new CredentialsError(
      `${sentence(name)} holds no PEM private key${hint}: ` +
        `it must have a "-----BEGIN PRIVATE KEY-----" block`,
    );
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(block);
  } catch {
    throw new CredentialsError(
      `${sentence(name)} is damaged: its PEM private key cannot be decoded, copy it again`,
    );
  }
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  const isUsable = key.asymmetricKeyType === "rsa"
    ? modulusLength >= RSA_BITS_MIN
    : key.asymmetricKeyType === "ec"
    ? CURVES.includes(namedCurve)
    : key.asymmetricKeyType === "ed25519";
  if (!isUsable) {
    throw new CredentialsError(
      `${sentence(name)} is of a kind that TLS does not take here: ` +
        `use RSA with 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519`,
    );
  }
  return key;
}

function formatTime(atMs: number): string {
  return new Date(atMs).toISOString().replace(".000Z", "Z");
}
