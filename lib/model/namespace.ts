/** A namespace: its name, labels and what its annotations say about policy. */

import type { DenyAction } from "./desired.ts";
import type { Labels } from "./labels.ts";

export interface Namespace {
  readonly name: string;
  readonly labels: Labels;
  /**
   * Whether the annotation of NetworkPolicy's first days (`net.beta.kubernetes.io/network-policy`,
   * `DefaultDeny`) isolates its pods. It counts only where the agent is told so.
   */
  readonly isIsolated: boolean;
  /** What denied packets of its pods get; `undefined`: the agent's setting. */
  readonly denyAction: DenyAction | undefined;
}
