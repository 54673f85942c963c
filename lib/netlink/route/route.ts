/** Unicast routes with one next hop: adding, deleting, listing, and what the kernel answers. */

import { assert } from "../../base/assert.ts";
import { Address, bitsOf, type Family } from "../../ip/address.ts";
import { Prefix } from "../../ip/prefix.ts";
import { familyNumber, familyOf } from "../address/ip_address.ts";
import { RT_SCOPE_LINK, RT_SCOPE_NOWHERE, RT_SCOPE_UNIVERSE } from "../address/message.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../message.ts";
import { parseMessage, type RawMessage, type Request, request } from "../message.ts";
import {
  DELROUTE,
  GETROUTE,
  NEWROUTE,
  RT_TABLE_MAIN,
  RT_TABLE_UNSPEC,
  RTM_DELROUTE,
  RTN_UNICAST,
  RTNH_F_ONLINK,
  RTPROT_BOOT,
} from "./message.ts";

/** Where a route leads to; `default` needs a family or a gateway that says it. */
export interface RouteReference {
  readonly destination: Prefix | "default";
  /** Index of the link that it leaves by. */
  readonly index: number;
  readonly gateway?: Address | undefined;
  /** @default {the destination's or the gateway's} */
  readonly family?: Family;
  /** RT_TABLE_*. @default {RT_TABLE_MAIN} */
  readonly table?: number;
  /** The metric. @default {0 for IPv4, 1024 for IPv6, as the kernel chooses} */
  readonly priority?: number;
}

/** A route to add. */
export interface NewRoute extends RouteReference {
  /** Whether the gateway is on the link, whatever the link's addresses say. */
  readonly onlink?: boolean;
  /** RT_SCOPE_*; IPv6 has none. @default {link without a gateway, universe with one} */
  readonly scope?: number;
  /** RTPROT_*: who made it. @default {RTPROT_BOOT} */
  readonly protocol?: number;
  /** Source address of what this node itself sends by it. */
  readonly preferredSource?: Address | undefined;
  /** Size of packets that leave by it. @default {the link's} */
  readonly mtu?: number;
  /** Largest TCP segment that is asked for. @default {what fits the size} */
  readonly advmss?: number;
  /** Whether it takes the place of another to the same destination; EEXIST otherwise. */
  readonly replace?: boolean;
}

/** A route as the kernel has it. */
export interface Route {
  readonly family: Family;
  readonly destination: Prefix | "default";
  /** Index of the link that it leaves by; `undefined` where there are several, or none. */
  readonly index: number | undefined;
  readonly gateway: Address | undefined;
  readonly onlink: boolean;
  /** RT_TABLE_*. */
  readonly table: number;
  /** RTPROT_*. */
  readonly protocol: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** RTN_*. */
  readonly type: number;
  readonly priority: number;
  readonly preferredSource: Address | undefined;
}

/** `RTM_NEWROUTE`: adds a route. EEXIST: there is one with this destination and metric, and `replace` is not set. */
export function addRoute(route: NewRoute): Request {
  const { onlink = false, protocol = RTPROT_BOOT, preferredSource, replace = false } = route;
  const { mtu, advmss } = route;
  const { header, attributes } = referenceFields(route);
  const metrics = mtu === undefined && advmss === undefined ? undefined : { mtu, advmss };
  return request(NEWROUTE, {
    flags: NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
    subject: formatSubject(route),
    header: {
      ...header,
      protocol,
      scope: route.scope ?? defaultScope(route),
      type: RTN_UNICAST,
      flags: onlink ? RTNH_F_ONLINK : 0,
    },
    attributes: { ...attributes, preferredSource, metrics },
  });
}

/** Deletes a route; ESRCH when there is none. */
export function deleteRoute(route: RouteReference): Request {
  const { header, attributes } = referenceFields(route);
  return request(DELROUTE, {
    subject: formatSubject(route),
    header: { ...header, scope: RT_SCOPE_NOWHERE },
    attributes,
  });
}

/** Asks for the routes of one family, in every table or in one, by every link or by one. */
export function dumpRoutes(
  family: Family,
  { index, table }: { readonly index?: number; readonly table?: number } = {},
): Request {
  return request(GETROUTE, {
    subject: `IPv${family} routes`,
    header: { family: familyNumber(family) },
    attributes: { outputIndex: index, table },
  });
}

/**
 * Asks which way the node itself sends to an address; the answer is a route to that address alone, by
 * the link and gateway that lead there. ENETUNREACH or EHOSTUNREACH where none does.
 */
export function lookUpRoute(address: Address): Request {
  return request(GETROUTE, {
    subject: `to ${address}`,
    header: { family: familyNumber(address.family), destinationLength: bitsOf(address.family) },
    attributes: { destination: address },
  });
}

/**
 * Parses a route that the kernel sent: of a dump, or a notification that it came or
 * ({@link isDeletedRoute}) went.
 *
 * @throws {RangeError} if the message is truncated or of another family than IPv4 and IPv6
 */
export function parseRoute(raw: RawMessage): Route {
  const { header, attributes } = parseMessage(isDeletedRoute(raw) ? DELROUTE : NEWROUTE, raw);
  const family = familyOf(header.family);
  return {
    family,
    destination: destinationOf(family, attributes.destination, header.destinationLength),
    index: attributes.outputIndex,
    gateway: attributes.gateway,
    onlink: (header.flags & RTNH_F_ONLINK) !== 0,
    table: attributes.table ?? header.table,
    protocol: header.protocol,
    scope: header.scope,
    type: header.type,
    priority: attributes.priority ?? 0,
    preferredSource: attributes.preferredSource,
  };
}

/** Whether a notification says that the route is gone. */
export function isDeletedRoute(raw: RawMessage): boolean {
  return raw.type === RTM_DELROUTE;
}

/** What adding and deleting have in common. */
function referenceFields(
  { destination, index, gateway, family, table = RT_TABLE_MAIN, priority }: RouteReference,
) {
  const known = knownFamily(destination, gateway, family);
  const prefix = destination === "default" || destination.length === 0 ? undefined : destination;
  return {
    header: {
      family: familyNumber(known),
      destinationLength: prefix?.length ?? 0,
      table: table < 256 ? table : RT_TABLE_UNSPEC,
    },
    attributes: {
      destination: prefix?.network.address,
      outputIndex: index,
      gateway,
      priority,
      table: table < 256 ? undefined : table,
    },
  };
}

function defaultScope({ destination, gateway, family }: NewRoute): number {
  if (gateway !== undefined || knownFamily(destination, gateway, family) === 6) {
    return RT_SCOPE_UNIVERSE;
  }
  return RT_SCOPE_LINK;
}

function knownFamily(
  destination: Prefix | "default",
  gateway: Address | undefined,
  family: Family | undefined,
): Family {
  const known = destination === "default" ? family ?? gateway?.family : destination.address.family;
  assert(known !== undefined, "A default route without a gateway needs its family");
  return known;
}

function destinationOf(
  family: Family,
  address: Address | undefined,
  length: number,
): Prefix | "default" {
  if (length === 0) return "default";
  if (address === undefined || address.family !== family || length > bitsOf(family)) {
    throw new RangeError("Destination of a route is missing or of the wrong family");
  }
  return new Prefix(address, length);
}

function formatSubject({ destination, index, gateway }: RouteReference): string {
  return `route ${destination}${gateway === undefined ? "" : ` via ${gateway}`} by link ${index}`;
}
