/** What becomes of a packet once policy has followed the API: a few milliseconds later. */

import type { Descriptor } from "../../../lib/kernel/descriptor.ts";
import { probe, type ProbeResult } from "./probe.ts";
import { until } from "../until.ts";

/** What a TCP connection out of a namespace comes to. */
export async function ask(
  from: { readonly namespace: Descriptor },
  address: string,
  port = 80,
): Promise<ProbeResult> {
  return await probe({ namespace: from.namespace, protocol: "TCP", address, port }, 300);
}

/**
 * Waits until `what` is answered as expected. Also for what is so already and must be `open`: on a busy
 * machine one answer may come too late, and the next one in time.
 */
export async function assertBecomes(
  expected: ProbeResult,
  what: () => Promise<ProbeResult>,
): Promise<void> {
  let last: ProbeResult = "";
  await until(
    `the answer becomes ${expected}`,
    async () => (last = await what()) === expected,
    () => `the last one: ${last}`,
  );
}
