/** Answers that do not come as they should: halves, drops, none. */

import { sleep } from "../../../../lib/base/async.ts";
import type { Drip } from "./faults.ts";

/** How long half an answer has to leave before its connection breaks. */
const CUT_DELAY_MS = 20;

/** The first half of the answer, then a broken connection. */
export async function cut(response: Response): Promise<Response> {
  if (response.headers.get("content-type") === null) return response;
  const bytes = new Uint8Array(await response.arrayBuffer());
  let isSent = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (isSent) {
        // Before anything is on the wire, clients would just send the request once more.
        await sleep(CUT_DELAY_MS);
        return controller.error(new Error("The answer was cut on purpose"));
      }
      isSent = true;
      controller.enqueue(bytes.subarray(0, bytes.length >> 1));
    },
  }, { highWaterMark: 0 });
  return new Response(body, { status: response.status, headers: response.headers });
}

/** A connection that breaks without an answer. */
export async function broken(): Promise<Response> {
  return await cut(new Response("{}", { headers: { "content-type": "application/json" } }));
}

/** The answer in pieces, with pauses; what is running, as a watch, goes on like that. */
export function drip(response: Response, { bytes, pauseMs }: Drip): Response {
  const slow = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      for (let at = 0; at < chunk.length; at += bytes) {
        controller.enqueue(chunk.subarray(at, at + bytes));
        await sleep(pauseMs);
      }
    },
  });
  const body = response.body?.pipeThrough(slow) ?? null;
  return new Response(body, { status: response.status, headers: response.headers });
}
