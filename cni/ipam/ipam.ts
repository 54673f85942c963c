/** What gives addresses and takes them back; which of them does is chosen in `choose_ipam.ts`. */

import type { Address } from "../../lib/ip/address.ts";
import type { Prefix } from "../../lib/ip/prefix.ts";
import type { Call } from "../call.ts";
import type { ValidAttachment } from "../protocol/configuration.ts";
import type { CniResult } from "../protocol/result.ts";

/** Inputs of an allocation from outside of the configuration. */
export interface IpamContext {
  /** `IP` of `CNI_ARGS`. */
  readonly requested: string | undefined;
  /** The node's pod CIDRs; asked for only where the configuration says `usePodCidr`. */
  readonly podCidrs: () => Promise<readonly Prefix[]>;
}

/** Addresses that were allocated for this call, and a function that frees exactly these. */
export interface Lease {
  /** `ips`, `routes` and `dns`; no interfaces. */
  readonly result: CniResult;
  release(): Promise<void>;
}

/** Allocates and frees addresses. */
export interface Ipam {
  /** @throws {CniError} if there is no free address; then nothing is reserved */
  allocate(call: Call, context: IpamContext): Promise<Lease>;
  /** Frees the addresses of the container's interface; it succeeds also without any. */
  release(call: Call): Promise<void>;
  /**
   * Looks whether the container's interface holds these addresses; where there are none, any.
   *
   * @throws {CniError} if it does not
   */
  check(call: Call, addresses: readonly Address[]): Promise<void>;
  /** Lists the known holders of addresses that are not in `valid`. */
  listStale(call: Call, valid: readonly ValidAttachment[]): readonly ValidAttachment[];
  /**
   * Frees the addresses of all holders that are not in `valid`, as many as possible.
   *
   * @throws {CniError} naming the addresses that it could not free
   */
  collect(call: Call, valid: readonly ValidAttachment[]): Promise<void>;
  /** @throws {CniError} if there is no address left, or no room to note who has it */
  status(call: Call, context: IpamContext): Promise<void>;
}
