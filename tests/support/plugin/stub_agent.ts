/** An agent for tests of the plugin alone: it answers as the test says and knows what it was told. */

import type { Fields } from "./call.ts";

/** Until it is disposed of. */
export class StubAgent implements AsyncDisposable {
  readonly path: string = `${Deno.makeTempDirSync({ dir: "/run" })}/agent.sock`;
  /** Containers that it was told of and not yet to forget. */
  readonly known: Set<string> = new Set<string>();
  /** What else it says of a container: `namespace`, `pod`. */
  readonly details: Map<string, Fields> = new Map<string, Fields>();
  /** The interface that it was told last of a container. */
  readonly interfaces: Map<string, string> = new Map<string, string>();
  /** All that it was asked, in order: method, path and body. */
  readonly requests: string[] = [];
  /** What it answers to the question which node this is. */
  node: Fields = {};
  /** How it answers PUT; "breaks off" closes the connection instead. */
  answer: 200 | 400 | 409 | 504 | "breaks off" = 200;
  /** Whether it says that policy is in force, or why not. */
  ready: true | string = true;
  /** Called when PUT arrives, before it is answered. */
  onPut: () => void = () => {};
  /** Called with the container when DELETE arrives. */
  onDelete: (containerId: string) => void = () => {};
  readonly #listener: Deno.Listener<Deno.UnixConn>;

  constructor() {
    this.#listener = Deno.listen({ transport: "unix", path: this.path });
    this.#accept();
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#converse(connection).catch(() => {}); // who asked may be gone
    }
  }

  async #converse(connection: Deno.UnixConn): Promise<void> {
    using _open = connection;
    const buffer = new Uint8Array(4096);
    let text = "";
    while (!isWhole(text)) {
      const length = await connection.read(buffer);
      if (length === null) return;
      text += new TextDecoder().decode(buffer.subarray(0, length));
    }
    this.requests.push(requestOf(text));
    const [, method, containerId = ""] = /^(\w+) \/v1\/endpoints\/([^/]+)/.exec(text) ?? [];
    if (method === "DELETE") {
      this.known.delete(containerId);
      this.onDelete(containerId);
    }
    if (method === "PUT") {
      if (this.answer !== 400 && this.answer !== 409) this.known.add(containerId);
      const { interface: name } = JSON.parse(text.slice(text.indexOf("\r\n\r\n")));
      this.interfaces.set(containerId, String(name));
      this.onPut();
    }
    if (method === "PUT" && this.answer === "breaks off") return;
    const status = method === "PUT" ? Number(this.answer) : 200;
    const said = text.startsWith("GET /v1/node ") ? this.node : this.#endpoints;
    const body = JSON.stringify(status === 200 ? said : { error: "not yet" });
    await connection.write(
      new TextEncoder().encode(
        `HTTP/1.0 ${status} x\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      ),
    );
  }

  get #endpoints(): Fields {
    return {
      ready: this.ready,
      endpoints: Array.from(this.known, (containerID) => ({
        containerID,
        ifname: "eth0",
        enforced: true,
        ...this.details.get(containerID),
      })),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    return Deno.remove(this.path).catch(() => {});
  }
}

function isWhole(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  const [, length = "0"] = /content-length: (\d+)/.exec(text) ?? [];
  return end >= 0 && text.length >= end + 4 + Number(length);
}

function requestOf(text: string): string {
  const [, line = ""] = /^(\w+ \S+)/.exec(text) ?? [];
  return `${line} ${text.slice(text.indexOf("\r\n\r\n") + 4)}`.trim();
}
