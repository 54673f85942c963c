/** A namespace: its name, its labels and its annotations about policy. */

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
  /** What happens to denied packets of its pods; `undefined`: as the agent's setting says. */
  readonly denyAction: DenyAction | undefined;
}
