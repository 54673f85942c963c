/**
 * A certificate authority for tests: it issues certificates for a day, by `openssl`, into a folder of
 * its own. No key of a test is in the repository.
 */

/** A certificate and its key, as PEM texts and files. */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export class FakeAuthority implements AsyncDisposable {
  /** Where the files are. */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes an authority; its own certificate is `ca.crt` in its folder. */
  static async create(): Promise<FakeAuthority> {
    const authority = new FakeAuthority(await Deno.makeTempDir({ prefix: "calyx-ca-" }));
    await authority.#openssl(
      "req",
      "-x509",
      ...KEY,
      "-subj",
      "/CN=test CA",
      ...authority.#out("ca"),
    );
    return authority;
  }

  get caFile(): string {
    return `${this.folder}/ca.crt`;
  }

  /** Issues a certificate for `names` (`IP:127.0.0.1`, `DNS:localhost`), which ends in a day. */
  async issue(name: string, names: readonly string[] = ["DNS:client"]): Promise<IssuedCertificate> {
    await this.#openssl(
      "req",
      "-x509",
      ...KEY,
      "-subj",
      `/O=testers/CN=${name}`,
      ...["-CA", this.caFile, "-CAkey", `${this.folder}/ca.key`],
      ...["-addext", `subjectAltName=${names.join()}`],
      ...["-addext", "basicConstraints=critical,CA:FALSE"],
      ...this.#out(name),
    );
    const [certFile, keyFile] = [`${this.folder}/${name}.crt`, `${this.folder}/${name}.key`];
    return {
      certificate: await Deno.readTextFile(certFile),
      key: await Deno.readTextFile(keyFile),
      certFile,
      keyFile,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }

  #out(name: string): string[] {
    return ["-keyout", `${this.folder}/${name}.key`, "-out", `${this.folder}/${name}.crt`];
  }

  async #openssl(...args: readonly string[]): Promise<void> {
    const { success, stderr } = await new Deno.Command("openssl", { args: [...args] }).output();
    if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  }
}

const KEY = [
  "-newkey",
  "ec",
  "-pkeyopt",
  "ec_paramgen_curve:P-256",
  "-nodes",
  "-days",
  "1",
] as const;
