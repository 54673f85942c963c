/**
 * Whether a client certificate has the form that the TLS library takes. It is stricter than RFC 5280
 * asks and than OpenSSL is, and what it refuses ends the process: src/cert.rs and src/x509.rs of
 * rustls-webpki.
 */

import { type Bytes, equalBytes } from "../base/bytes.ts";
import { DER, DerError, DerReader } from "./der.ts";

/** What of a certificate is needed beyond that. */
export interface CertificateForm {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Bytes;
}

/** Why it does not take a certificate: what it is, and what to do. */
export class CertificateFormError extends Error {
  override readonly name = "CertificateFormError";
}

/** `INTEGER 2`: X.509 version 3. */
const VERSION_3 = Uint8Array.of(DER.integer, 1, 2);
/** id-ce, 2.5.29: under it are the extensions that the library knows, by their last arc. */
const ID_CE = Uint8Array.of(0x55, 0x1d);
const KEY_USAGE = 15;
const KNOWN_EXTENSIONS = [KEY_USAGE, 17, 19, 30, 31, 37];

/**
 * Reads a certificate as the library does.
 *
 * @param der Certificate, RFC 5280 4.1
 * @throws {CertificateFormError} saying what it is in a clause, and what to do
 */
export function readCertificateForm(der: Bytes): CertificateForm {
  try {
    return readCertificate(der);
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    throw new CertificateFormError(
      `is not encoded as TLS takes it (${error.message}): issue it again`,
    );
  }
}

function readCertificate(der: Bytes): CertificateForm {
  const outside = new DerReader(der);
  const certificate = new DerReader(outside.next(DER.sequence).content);
  outside.end();
  const signed = new DerReader(certificate.next(DER.sequence).content);
  const algorithm = certificate.next(DER.sequence);
  certificate.next(DER.bitString);
  certificate.end();
  if (!signed.hasNext(DER.context0)) {
    throw new CertificateFormError(
      "is of X.509 version 1, which TLS does not take here: issue it again with an extension, as by " +
        `"openssl x509 -req … -extfile FILE", where FILE says "extendedKeyUsage=clientAuth"`,
    );
  }
  if (!equalBytes(signed.next(DER.context0).content, VERSION_3)) {
    throw new CertificateFormError(
      "is not of X.509 version 3, the one that TLS takes here: issue it again",
    );
  }
  signed.next(DER.integer); // serialNumber
  if (!equalBytes(signed.next(DER.sequence).whole, algorithm.whole)) {
    throw new CertificateFormError("names two signature algorithms: issue it again");
  }
  signed.next(DER.sequence); // issuer
  signed.next(DER.sequence); // validity
  signed.next(DER.sequence); // subject
  const publicKey = signed.next(DER.sequence).whole;
  if (!signed.isAtEnd) readExtensions(signed);
  signed.end();
  return { publicKey };
}

function readExtensions(signed: DerReader): void {
  const tagged = new DerReader(signed.next(DER.context3).content);
  const extensions = new DerReader(tagged.next(DER.sequence).content);
  tagged.end();
  const seen = new Set<number>();
  while (!extensions.isAtEnd) {
    const extension = new DerReader(extensions.next(DER.sequence).content);
    const id = extension.next(DER.objectIdentifier).content;
    const isCritical = extension.hasNext(DER.boolean) &&
      readBoolean(extension.next(DER.boolean).content);
    const value = extension.next(DER.octetString).content;
    extension.end();
    const arc = id.length === 3 && equalBytes(id.subarray(0, 2), ID_CE) ? id[2] ?? 0 : 0;
    if (!KNOWN_EXTENSIONS.includes(arc)) {
      if (isCritical) throw unknownExtension(id);
      continue;
    }
    if (seen.has(arc)) {
      throw new CertificateFormError(`has extension ${formatId(id)} twice: issue it again`);
    }
    seen.add(arc);
    const inside = new DerReader(value);
    if (arc === KEY_USAGE) continue;
    inside.next(DER.sequence);
    inside.end();
  }
}

function unknownExtension(id: Bytes): CertificateFormError {
  return new CertificateFormError(
    `has the critical extension ${formatId(id)}, which TLS does not know here: ` +
      "issue it again without, or not as critical",
  );
}

function readBoolean([byte, ...rest]: Bytes): boolean {
  if (rest.length > 0 || (byte !== 0xff && byte !== 0)) throw new DerError("a BOOLEAN of DER");
  return byte === 0xff;
}

/** An object identifier in dots: X.690 8.19. */
function formatId(bytes: Bytes): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of bytes) {
    number = number * 128 + (byte & 0x7f);
    if ((byte & 0x80) !== 0) continue;
    numbers.push(number);
    number = 0;
  }
  const [first = 0, ...rest] = numbers;
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - 40 * root, ...rest].join(".");
}
