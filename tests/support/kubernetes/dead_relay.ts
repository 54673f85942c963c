/**
 * A TCP relay to a server that can go dead as a firewall or a machine without power does: what stands stays
 * open and says nothing any more, no FIN either, and what comes is taken and never answered. So it knows
 * nothing of what it carries, TLS or not.
 */

import { acceptAll } from "../packet/accept.ts";

const CHUNK_BYTES = 64 << 10;

/** A relay on loopback. */
export class DeadRelay implements AsyncDisposable {
  readonly port: number;
  readonly #serverPort: number;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #accepting: Promise<void>;
  /** Connections that are dead for ever. */
  #dead = new Set<Deno.Conn>();
  #isDead = false;
  #failure: unknown;

  /** Starts one that leads to `serverPort` on loopback. */
  constructor(serverPort: number) {
    this.#serverPort = serverPort;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#accepting = acceptAll(this.#listener, (it) => void this.#carry(it)).catch((error) => {
      this.#failure = error;
    });
  }

  /** How many connections stand, dead ones too: two for each caller that got through. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Lets nothing through any more. */
  die(): void {
    this.#isDead = true;
    this.#dead = new Set(this.#connections);
  }

  /** Takes new connections again; with `resets` the dead ones break, else they stay dead. */
  revive({ resets }: { readonly resets: boolean }): void {
    this.#isDead = false;
    if (!resets) return;
    for (const connection of this.#dead) this.#close(connection);
    this.#dead.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) this.#close(connection);
    await this.#accepting;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #carry(caller: Deno.TcpConn): Promise<void> {
    this.#connections.add(caller);
    if (this.#isDead) return void this.#dead.add(caller);
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect({ hostname: "127.0.0.1", port: this.#serverPort });
    } catch {
      return this.#close(caller);
    }
    this.#connections.add(server);
    // What died meanwhile is dead.
    if (this.#dead.has(caller)) return void this.#dead.add(server);
    if (!this.#connections.has(caller)) return this.#close(server);
    await Promise.all([this.#copy(caller, server), this.#copy(server, caller)]);
  }

  async #copy(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(CHUNK_BYTES);
    try {
      for (;;) {
        const length = await from.read(buffer);
        if (this.#dead.has(from)) return;
        if (length === null) break;
        for (let sent = 0; sent < length;) sent += await to.write(buffer.subarray(sent, length));
      }
      await to.closeWrite();
      return;
    } catch {
      if (this.#dead.has(from)) return;
    }
    this.#close(from);
    this.#close(to);
  }

  #close(connection: Deno.Conn): void {
    if (!this.#connections.delete(connection)) return;
    try {
      connection.close();
    } catch {
      // It has ended by itself.
    }
  }
}
