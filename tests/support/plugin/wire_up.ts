/**
 * A container wired up by the plugin's own plan in this process, with addresses that the caller chooses:
 * no call, no reservation, no agent. For runs that make thousands of pods or need exact addresses.
 */

import { planSandbox } from "../../../cni/plan.ts";
import { Sandbox } from "../../../cni/sandbox.ts";
import type { Address } from "../../../lib/ip/address.ts";
import type { Container } from "./container.ts";

const IFNAME = "eth0";

/** How a container is wired up. */
export interface Wires {
  /** Its interface on the node. */
  readonly hostName: string;
  /** That interface's alias. @default {none} */
  readonly alias?: string;
  /** The container's own link address. */
  readonly linkAddress: string;
  readonly addresses: readonly Address[];
  readonly includeDefaultRoutes?: boolean;
}

/** Makes the pair, addresses, routes and neighbours of `container`, as ADD does. */
export function wireUp(
  { containerId, path }: Container,
  { hostName, alias = "", linkAddress, addresses, includeDefaultRoutes = false }: Wires,
): void {
  using sandbox = Sandbox.open({
    command: "ADD",
    containerId,
    netns: path,
    ifname: IFNAME,
    args: "",
    path: [],
    allowOwnNamespace: false,
    trace: undefined,
  });
  sandbox.wire(planSandbox({
    hostName,
    alias,
    podName: IFNAME,
    podLinkAddress: linkAddress,
    netns: path,
    mtu: undefined,
    addresses,
    subnetGateways: new Map(),
    routes: [],
    includeDefaultRoutes,
    allowIpForwarding: false,
    dns: {},
  }));
}
