/**
 * Whether policy is in force on this node, and what people should know beside: one sentence each, the same for
 * /readyz, the socket, the plugin's errors and `systemctl status`.
 */

import type { AddressDoubts } from "../lib/policy/address_doubts.ts";
import { formatAddressDoubts } from "./address_report.ts";
import type { BypassWatch } from "./bypass_watch.ts";
import type { Facts } from "./facts.ts";
import { formatDuration, formatStale, staleMs } from "./freshness.ts";
import type { IpvsWatch } from "./ipvs.ts";
import { formatWaiting } from "./large_policies.ts";
import { type EnforcementState, formatConflicts } from "./loop.ts";

/** The state that readiness is computed from. */
export interface ReadinessState {
  readonly facts: Pick<Facts, "states">;
  readonly loop: Pick<EnforcementState, "counts" | "enforced" | "failingSinceMs">;
  readonly ipvs: Pick<IpvsWatch, "details">;
  readonly bypass: Pick<BypassWatch, "details">;
  /** Doubted addresses in pods' statuses. */
  readonly doubts: () => AddressDoubts;
  /** Keys (`namespace/name`) of the queued large policies. */
  readonly waitingPolicies: () => readonly string[];
  /** One sentence why the agent cannot enforce although every kind is listed; `undefined`: it can. */
  readonly missing?: () => string | undefined;
  /** Further sentences for `/readyz`. */
  readonly moreDetails?: () => readonly string[];
  /** After this time without the API server it is not ready (ms); 0: it stays ready. */
  readonly unreadyAfterMs: number;
  readonly nowMs: () => number;
}

/** After failing for this time (ms) the loop counts as not ready. */
const FAILURE_MS_MAX = 60_000;

/** Sentences for `/readyz` that do not make the node unready: its other pods are not affected. */
export function readyDetails(
  options: Omit<ReadinessState, "missing" | "unreadyAfterMs">,
): readonly string[] {
  return [
    ...unreadKinds(options.facts),
    ...formatStale(options.facts, options.nowMs()),
    ...formatAddressDoubts(options.doubts()),
    ...formatConflicts(options.loop.enforced?.conflicts ?? new Map()),
    ...options.ipvs.details,
    ...options.bypass.details,
    ...formatWaiting(options.waitingPolicies()),
    ...options.moreDetails?.() ?? [],
  ];
}

/** One sentence why policy is not in force; `undefined`: it is. */
export function unreadyReason(
  { facts, loop, missing, unreadyAfterMs, nowMs }: Pick<
    ReadinessState,
    "facts" | "loop" | "missing" | "unreadyAfterMs" | "nowMs"
  >,
): string | undefined {
  for (const [kind, state] of Object.entries(facts.states)) {
    if (!state.isInSync) {
      return `Not every ${kind} is known yet: ${state.detail ?? state.state}`;
    }
  }
  const reason = missing?.();
  if (reason !== undefined) return reason;
  if (loop.counts.applied === 0) return "Nothing is in the kernel yet: see the agent's log";
  if (loop.failingSinceMs !== undefined && nowMs() - loop.failingSinceMs > FAILURE_MS_MAX) {
    return "The kernel refuses changes: see the agent's log";
  }
  if (unreadyAfterMs > 0 && staleMs(facts, nowMs()) > unreadyAfterMs) {
    return `The API server was not heard for ${formatDuration(unreadyAfterMs / 1_000)}`;
  }
  return undefined;
}

/** One sentence for each kind whose last known objects stay in force because newer ones cannot be read. */
function unreadKinds({ states }: Pick<Facts, "states">): readonly string[] {
  return Object.entries(states)
    .filter(([, it]) => it.isInSync && it.state === "unreadable")
    .map(([kind, { detail }]) =>
      `What was read last of ${kind} stays in force, and no later change counts: ${detail}`
    );
}
