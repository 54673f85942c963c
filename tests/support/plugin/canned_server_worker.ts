/** The thread of `canned_server.ts`: told a socket and an answer, then asked what it has seen. */

import type { CannedAnswer, SeenRequest } from "./canned_server.ts";

interface Thread {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
}

const thread = globalThis as unknown as Thread;
const seen: SeenRequest[] = [];

thread.onmessage = ({ data }): void => {
  if (data === "seen") return thread.postMessage(seen);
  const { path, answer } = data as { readonly path: string; readonly answer: CannedAnswer };
  Deno.serve({ transport: "unix", path, onListen: () => thread.postMessage("listening") }, serve);
  async function serve(request: Request): Promise<Response> {
    seen.push({
      method: request.method,
      path: new URL(request.url).pathname,
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
    });
    return new Response(answer.body, { status: answer.status ?? 200 });
  }
};
