/**
 * A server on a unix socket, on a thread of its own, that gives every request the same answer: for
 * clients that wait in system calls, which would keep a server on their own thread from answering.
 */

/** What it answers. */
export interface CannedAnswer {
  readonly status?: number;
  readonly body: string;
}

/** A request that it was sent. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Listens until it is disposed of. */
export class CannedServer implements AsyncDisposable {
  readonly path: string;
  readonly #worker: Worker;
  readonly #folder: string;

  private constructor(worker: Worker, folder: string) {
    this.#worker = worker;
    this.#folder = folder;
    this.path = `${folder}/agent.sock`;
  }

  static async start(answer: CannedAnswer): Promise<CannedServer> {
    const worker = new Worker(import.meta.resolve("./canned_server_worker.ts"), { type: "module" });
    const server = new CannedServer(worker, await Deno.makeTempDir());
    await server.#ask({ path: server.path, answer });
    return server;
  }

  /** What has been asked so far. */
  seen(): Promise<readonly SeenRequest[]> {
    return this.#ask("seen");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#worker.terminate();
    await Deno.remove(this.#folder, { recursive: true });
  }

  #ask<T>(message: unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = (event) => resolve(event.data);
      this.#worker.onerror = (event) => {
        event.preventDefault(); // or it would end the test file, and not the test that asks
        reject(new Error(event.message));
      };
      this.#worker.postMessage(message);
    });
  }
}
