/**
 * Tells of addresses in pods' statuses that are to be doubted (`lib/policy/address_doubts.ts`): as
 * sentences for /readyz, and in the log when they come and go. It decides nothing.
 */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { Logger } from "../lib/base/log.ts";
import type { AddressDoubts } from "../lib/policy/address_doubts.ts";

/** The state that the report is computed from. */
export interface AddressReportOptions {
  readonly doubts: () => AddressDoubts;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** A look costs a few milliseconds with 10,000 pods. */
const INTERVAL_MS = 30_000;
const PODS_SHOWN_MAX = 5;

/** Reports doubted addresses in the log when they change, periodically until `signal` aborts. */
export async function reportAddressDoubts(
  { doubts, logger, clock = systemClock }: AddressReportOptions,
  signal: AbortSignal,
): Promise<void> {
  let notBelieved = "";
  let areOutside = false;
  while (!signal.aborted) {
    const { ofNodes, outside } = doubts();
    const text = formatPods(ofNodes);
    if (text !== notBelieved) {
      if (text === "") logger.info("no pod's status has an address of a node any more");
      else logger.warn("address of a node in a pod's status not believed", { pods: text });
    }
    notBelieved = text;
    // If another IPAM assigns all addresses, every pod is outside: reported once.
    if (outside.size > 0 && !areOutside) {
      logger.warn("pod addresses outside of every node's pod CIDRs", { pods: formatPods(outside) });
    }
    areOutside = outside.size > 0;
    await clock.sleep(INTERVAL_MS, signal).catch(() => {});
  }
}

/** One sentence for each kind of doubt that was found. */
export function formatAddressDoubts({ ofNodes, outside }: AddressDoubts): readonly string[] {
  const lines: string[] = [];
  if (ofNodes.size > 0) {
    lines.push(`Addresses of nodes in pods' statuses are not believed: ${formatPods(ofNodes)}`);
  }
  if (outside.size > 0) {
    lines.push(
      `Pod addresses outside of every node's pod CIDRs are believed: ${formatPods(outside)}`,
    );
  }
  return lines;
}

function formatPods(pods: ReadonlyMap<string, readonly string[]>): string {
  const sorted = [...pods].sort(([a], [b]) => a < b ? -1 : 1);
  const shown = sorted.slice(0, PODS_SHOWN_MAX).map(([key, it]) => `${key} (${it.join(", ")})`);
  const more = sorted.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}
