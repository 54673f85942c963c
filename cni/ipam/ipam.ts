/**
 * Where addresses come from: host-local, which is built in, or a plugin of another type, which is
 * called. Both do the same things.
 */

import type { Address } from "../../lib/ip/address.ts";
import type { Prefix } from "../../lib/ip/prefix.ts";
import type { Call } from "../call.ts";
import type { ValidAttachment } from "../protocol/configuration.ts";
import { CniError } from "../protocol/error.ts";
import type { CniResult } from "../protocol/result.ts";
import { DelegatedIpam } from "./delegate.ts";
import { HostLocalIpam } from "./host_local.ts";

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

/**
 * The IPAM of the configuration.
 *
 * @throws {CniError} code 7 if there is none, or it is this plugin
 */
export function ipamOf({ configuration }: Call): Ipam {
  const { ipamType } = configuration;
  if (ipamType === undefined) {
    throw new CniError(
      "invalidConfiguration",
      `"ipam.type" is missing: say "host-local" with "ranges": [[{"subnet": "usePodCidr"}]]`,
    );
  }
  if (ipamType === "calyx" || ipamType === configuration.json.type) {
    throw new CniError(
      "invalidConfiguration",
      `"ipam.type" cannot be this plugin itself, which would call itself for ever: got "${ipamType}"`,
    );
  }
  return ipamType === "host-local" ? new HostLocalIpam() : new DelegatedIpam(ipamType);
}
