/** A thread that asks a server again and again, and is asked for the longest time without an answer. */

import { sleep } from "../../lib/base/async.ts";

interface Thread {
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown): void;
}

const PAUSE_MS = 20;

const thread = globalThis as unknown as Thread;
let url = "";
let longestMs = 0;
let askedMs = 0;
let isAnswered = false;

thread.onmessage = ({ data }): void => {
  if (data === "take") {
    // Before its first answer the server was not there; one on its way counts as far as it has got.
    const waitedMs = askedMs > 0 && isAnswered ? performance.now() - askedMs : 0;
    thread.postMessage(Math.max(longestMs, waitedMs));
    [longestMs, isAnswered] = [0, false];
    return;
  }
  url = String(data);
  poll();
};

async function poll(): Promise<void> {
  for (;;) {
    askedMs = performance.now();
    try {
      await (await fetch(url)).body?.cancel();
      if (isAnswered) longestMs = Math.max(longestMs, performance.now() - askedMs);
      isAnswered = true;
    } catch {
      isAnswered = false; // not started yet, or ended
    }
    askedMs = 0;
    await sleep(PAUSE_MS);
  }
}
