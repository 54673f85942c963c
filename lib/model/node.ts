/** A node: its pod CIDRs and addresses. */

import type { Address } from "../ip/address.ts";
import type { Prefix } from "../ip/prefix.ts";
import type { Labels } from "./labels.ts";

export interface Node {
  readonly name: string;
  readonly labels: Labels;
  /** `spec.podCIDRs`, or `spec.podCIDR` alone. */
  readonly podCidrs: readonly Prefix[];
  /** `status.addresses` of the types InternalIP and ExternalIP. */
  readonly addresses: readonly Address[];
  /**
   * What else it may be called by, in lower case: `status.addresses` that are names, and the last part of
   * `spec.providerID`. Absent: nothing.
   */
  readonly aliases?: readonly string[];
}
