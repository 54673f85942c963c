/**
 * Checks of PEM texts before they go into a TLS client, which stops the process over a certificate or a
 * key that it does not take. What goes there is written again from what was checked, so that both read the
 * same. RFC 7468 for the text, RFC 5280 for what is in it.
 */

import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { type Bytes, equalBytes } from "../base/bytes.ts";
import { CertificateFormError, readCertificateForm } from "./certificate_form.ts";
import { CredentialsError } from "./error.ts";
import { sentence } from "./material.ts";

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
  const [certificate] = chain;
  const key = parseKey(pem.key, names.key);
  if (certificate === undefined || !belongTogether(certificate, key, names.certificate)) {
    throw new CredentialsError(
      `${
        sentence(names.key)
      } does not belong to ${names.certificate}: name the key it was made with`,
    );
  }
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
  const text = key.export({ type: "pkcs8", format: "pem" });
  return { certificate: formatCertificates(chain), key: String(text), expiresAtMs };
}

/** As TLS compares them: byte for byte, so that a point or a curve that is spelt otherwise does not fit. */
function belongTogether(certificate: X509Certificate, key: KeyObject, name: string): boolean {
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
  try {
    return equalBytes(readCertificateForm(derOf(certificate)).publicKey, publicKey);
  } catch (error) {
    if (!(error instanceof CertificateFormError)) throw error;
    throw new CredentialsError(`${sentence(name)} ${error.message}`);
  }
}

function derOf(certificate: X509Certificate): Bytes {
  return new Uint8Array(certificate.raw);
}

function formatCertificates(chain: readonly X509Certificate[]): string {
  return chain.map((it) => {
    const lines = derOf(it).toBase64().match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
  }).join("");
}

/**
 * Checks a bundle of certificate authorities.
 *
 * @returns its certificates, as PEM text
 * @throws {CredentialsError} if there is no certificate in it, or one is garbage
 */
export function checkAuthorities(pem: string, name: string): string {
  return formatCertificates(parseCertificates(pem, name));
}

function parseCertificates(pem: string, name: string): X509Certificate[] {
  const blocks = pem.match(CERTIFICATE_REGEXP) ?? [];
  if (blocks.length === 0) {
    const hint = PRIVATE_KEY_REGEXP.test(pem) ? " but a private key" : "";
    throw new CredentialsError(
      `${sentence(name)} holds no PEM certificate${hint}: ` +
        `it must have a "-----BEGIN CERTIFICATE-----" block`,
    );
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      const which = blocks.length === 1 ? "" : ` number ${index + 1}`;
      throw new CredentialsError(
        `${
          sentence(name)
        } is damaged: its PEM certificate${which} cannot be decoded, copy it again`,
      );
    }
  });
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
