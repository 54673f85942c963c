/** What is wrong with the credentials, as one sentence for a person. */

/**
 * The credentials cannot be used. The message is one sentence that names the thing, its value and the
 * remedy; it never holds a secret, and neither does its cause.
 */
export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
}
