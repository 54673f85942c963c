/**
 * What an `exec` plug-in answers: the ExecCredential of client.authentication.k8s.io/v1, and why it did
 * not answer. What it printed is never repeated as it is: a token may be in it.
 */

import { CredentialsError } from "./error.ts";
import type { Identity } from "./login.ts";
import { sentence } from "./material.ts";
import { Secret } from "./secret.ts";

/** A checked answer. */
export interface ExecCredential {
  readonly token: Secret | undefined;
  readonly pair: Identity["pair"];
  /** Infinity if the plug-in gives no expiry: the credential is used until the server refuses it. */
  readonly expiresAtMs: number;
}

/**
 * Checks what the plug-in printed.
 *
 * @throws {CredentialsError} if it is no ExecCredential, or says neither token nor certificate
 */
export function parseExecCredential(answer: unknown, name: string): ExecCredential {
  const status = typeof answer === "object" && answer !== null && "status" in answer
    ? answer.status
    : undefined;
  if (typeof status !== "object" || status === null) {
    throw new CredentialsError(
      `${sentence(name)} printed no ExecCredential with a status: try it by hand`,
    );
  }
  const fields = status as Record<string, unknown>;
  const token = textOf(fields.token);
  const certificate = textOf(fields.clientCertificateData);
  const key = textOf(fields.clientKeyData);
  if ((certificate === undefined) !== (key === undefined)) {
    const missing = key === undefined ? "clientKeyData" : "clientCertificateData";
    throw new CredentialsError(`${sentence(name)} gave half a pair: ${missing} is missing`);
  }
  if (token === undefined && certificate === undefined) {
    throw new CredentialsError(
      `${sentence(name)} gave neither token nor certificate: log in again`,
    );
  }
  const expiresAtMs = Date.parse(textOf(fields.expirationTimestamp)?.reveal() ?? "");
  return {
    token,
    pair: certificate === undefined || key === undefined ? undefined : { certificate, key },
    expiresAtMs: Number.isNaN(expiresAtMs) ? Infinity : expiresAtMs,
  };
}

/** Why a plug-in gave no credential: the first line of its stderr, if there is one. */
export function describeExecFailure(
  name: string,
  error: unknown,
  installHint: string | undefined,
): CredentialsError {
  const what = sentence(name);
  if (error instanceof SyntaxError) {
    return new CredentialsError(`${what} printed something that is not JSON: try it by hand`);
  }
  const message = error instanceof Error ? error.message : "";
  if (/ENOENT|os error 2\b|no such file/i.test(message)) {
    const hint = installHint?.trim().split("\n")[0];
    return new CredentialsError(
      `${what} is not installed: ${hint ? hint.slice(0, 200) : "install it or correct PATH"}`,
    );
  }
  if (/EACCES|os error 13\b/.test(message)) {
    return new CredentialsError(`${what} may not be run: make it executable`);
  }
  const line = message.split("\n").map((it) => it.trim()).find((it) => it !== "");
  return new CredentialsError(
    line === undefined ? `${what} failed: try it by hand` : `${what} failed: ${redact(line)}`,
  );
}

/** Hides what may be a token: any long word of the characters that tokens are made of. */
function redact(line: string): string {
  return line.slice(0, 400).replaceAll(
    /[\w+/=.~-]{20,}/g,
    (word) => /^[a-z]+(?:[-./][a-z]+)*$/.test(word) ? word : "…",
  ).slice(0, 200);
}

function textOf(value: unknown): Secret | undefined {
  return typeof value === "string" && value !== "" ? new Secret(value) : undefined;
}
