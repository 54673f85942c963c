/** The MTU that pods get: that of the interface which the default route goes through. */

import type { Logger } from "../lib/base/log.ts";
import { FAMILIES } from "../lib/ip/address.ts";
import { getLink, parseLink } from "../lib/netlink/link/link.ts";
import { dumpRoutes, parseRoute } from "../lib/netlink/route/route.ts";
import type { NetlinkSocket } from "../lib/netlink/socket.ts";

/** Ethernet's, where there is no default route. */
const MTU_DEFAULT = 1500;
/** IPv6 needs 1280 (RFC 8200); a veth takes at most 65535. */
const MTU_MIN = 1280;
const MTU_MAX = 65_535;

/** How long a detected MTU is used (ms): detection dumps all routes. */
const FRESH_MS = 10_000;

/** Returns a function that gives the MTU for pods (bytes), detected at most every ten seconds. */
export function cachedMtu(route: NetlinkSocket, logger: Logger, nowMs: () => number): () => number {
  let known = MTU_DEFAULT;
  let foundMs = -Infinity;
  return () => {
    const ms = nowMs();
    if (ms - foundMs < FRESH_MS && ms >= foundMs) return known;
    foundMs = ms;
    return known = detectMtu(route, logger);
  };
}

/** The MTU of the default route's interface in bytes; IPv4's before IPv6's. */
function detectMtu(route: NetlinkSocket, logger: Logger): number {
  try {
    for (const family of FAMILIES) {
      const routes = route.dump(dumpRoutes(family)).map(parseRoute);
      const index = routes.find((it) => it.destination === "default")?.index;
      if (index === undefined) continue;
      const [link] = route.request(getLink({ index })).map(parseLink);
      if (link !== undefined) return Math.min(Math.max(link.mtu, MTU_MIN), MTU_MAX);
    }
  } catch (error) {
    logger.warn("MTU not detected", { error, mtu: MTU_DEFAULT });
  }
  return MTU_DEFAULT;
}
