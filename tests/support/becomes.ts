/** What becomes of a packet once policy has followed the API: a few milliseconds later. */

import { assertEquals } from "@std/assert";
import type { TestPod } from "./pod.ts";
import { probe, type ProbeResult } from "./probe.ts";

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
  for (let i = 0; i < 20; i++) {
    last = await what();
    if (last === expected) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assertEquals(last, expected);
}
