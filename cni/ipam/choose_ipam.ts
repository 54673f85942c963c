/**
 * Where addresses come from: host-local, which is built in, or a plugin of another type, which is
 * called. Both do the same things.
 */

import type { Call } from "../call.ts";
import { CniError } from "../protocol/error.ts";
import { DelegatedIpam } from "./delegate.ts";
import { HostLocalIpam } from "./host_local.ts";
import type { Ipam } from "./ipam.ts";

/**
 * The IPAM of the configuration.
 *
 * @throws {CniError} code 7 if there is none, or it is this plugin
 */
export function chooseIpam({ configuration }: Call): Ipam {
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
