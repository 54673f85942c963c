/** Text that must not be seen: no log, no JSON and no inspection shows it. */

const HIDDEN = "[secret]";

/** A token, a password, a private key. Only {@link Secret.reveal} returns the text. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself: for a header or a handshake, never for a message. */
  reveal(): string {
    return this.#text;
  }

  /** Never the text. */
  toString(): string {
    return HIDDEN;
  }

  /** Never the text. */
  toJSON(): string {
    return HIDDEN;
  }

  /** Never the text. */
  [Symbol.for("Deno.customInspect")](): string {
    return HIDDEN;
  }

  /** Never the text. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return HIDDEN;
  }
}

/** Whether both hold the same text, or both are absent. */
export function equalSecrets(a: Secret | undefined, b: Secret | undefined): boolean {
  return a?.reveal() === b?.reveal();
}
