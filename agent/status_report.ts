/** Keeps the line in `systemctl status` up to date: what is in force, or what the agent waits for. */

import { type Clock, systemClock } from "../lib/base/clock.ts";
import type { AgentState } from "./agent_state.ts";
import type { Notifier } from "./notify.ts";

/** The state that the line is computed from. */
export interface StatusReportOptions {
  readonly notifier: Pick<Notifier, "status">;
  readonly state: Pick<AgentState, "loop" | "unreadyReason" | "details">;
  readonly clock?: Clock;
}

const LOOK_INTERVAL_MS = 2_000;

/** Sends the line to the service manager whenever it changes, until `signal` aborts. */
export async function reportStatus(
  options: StatusReportOptions,
  signal: AbortSignal,
): Promise<void> {
  const { notifier, clock = systemClock } = options;
  let told = "";
  while (!signal.aborted) {
    const text = formatStatus(options.state);
    if (text !== told) notifier.status(told = text);
    await clock.sleep(LOOK_INTERVAL_MS, signal).catch(() => {});
  }
}

/** `Policy is in force: 12 pods, 30 policies`; the first detail follows. */
export function formatStatus(
  { loop, unreadyReason, details }: StatusReportOptions["state"],
): string {
  const [first, ...more] = details;
  const others = more.length === 0 ? "" : ` (and ${more.length} more, see /readyz)`;
  const detail = first === undefined ? "" : `. ${first}${others}`;
  const { endpoints, policies } = loop.enforced ?? {};
  const pods = count(endpoints?.size ?? 0, "pod", "pods");
  const chains = count(policies?.size ?? 0, "direction of a policy", "directions of policies");
  return `${unreadyReason ?? `Policy is in force: ${pods}, ${chains}`}${detail}`;
}

function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`;
}
