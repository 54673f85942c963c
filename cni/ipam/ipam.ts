/** What gives addresses and takes them back; which of them does is chosen in `choose_ipam.ts`. */

import type { Address } from "../../lib/ip/address.ts";
import type { Prefix } from "../../lib/ip/prefix.ts";
import type { Call } from "../call.ts";
import type { ValidAttachment } from "../protocol/configuration.ts";
import type { CniResult } from "../protocol/result.ts";

/** What an allocation may have to ask for. */
export interface IpamContext {
  /** `IP` of `CNI_ARGS`. */
  readonly requested: string | undefined;
  /** The node's pod CIDRs; asked for only where the configuration says `usePodCidr`. */
  readonly podCidrs: () => Promise<readonly Prefix[]>;
}

/** Addresses that were allocated for this call, and how to give exactly these back. */
export interface Lease {
  /** `ips`, `routes` and `dns`; no interfaces. */
  readonly result: CniResult;
  release(): Promise<void>;
}

/** Allocates and frees addresses. */
export interface Ipam {
  /** @throws {CniError} if there is none to be had; nothing is kept then */
  allocate(call: Call, context: IpamContext): Promise<Lease>;
  /** Frees what the container's interface holds; nothing is fine too. */
  release(call: Call): Promise<void>;
  /**
   * Looks whether the container's interface holds these addresses; where there are none, any.
   *
   * @throws {CniError} if it does not
   */
  check(call: Call, addresses: readonly Address[]): Promise<void>;
  /** Who holds addresses and is not in `valid`, as far as is known here. */
  listStale(call: Call, valid: readonly ValidAttachment[]): readonly ValidAttachment[];
  /**
   * Frees what nobody in `valid` holds, as much of it as can be.
   *
   * @throws {CniError} naming what is left
   */
  collect(call: Call, valid: readonly ValidAttachment[]): Promise<void>;
  /** @throws {CniError} if there is no address left, or no room to note who has it */
  status(call: Call, context: IpamContext): Promise<void>;
}
