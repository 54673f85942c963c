/** What becomes of a packet once policy has followed the API: a few milliseconds later. */

import { assertEquals } from "@std/assert";
import { patient } from "./patience.ts";
import type { TestPod } from "./pod.ts";
import { probe, type ProbeResult } from "./probe.ts";

/** When to give up waiting. */
const PATIENCE_MS = 10_000;

/** What a TCP connection from `from` comes to. */
export async function ask(from: TestPod, address: string, port = 80): Promise<ProbeResult> {
  return await probe({ namespace: from.namespace, protocol: "TCP", address, port }, 300);
}

/** Until `what` is answered as expected. */
export async function assertBecomes(
  expected: ProbeResult,
  what: () => Promise<ProbeResult>,
): Promise<void> {
  let last: ProbeResult = "";
  const endMs = performance.now() + patient(PATIENCE_MS);
  for (;;) {
    last = await what();
    if (last === expected || performance.now() > endMs) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assertEquals(last, expected);
}
