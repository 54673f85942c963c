/**
 * Flows that the kernel tracks: parse, dump, get, update, delete. Not for which ones: agent/flow_cut.ts
 * decides. A request names a flow by its original tuple and zone; to delete, the kernel compares the id
 * too, so that a later flow of the same tuple is not hit.
 */

import type { Address, Family } from "../../ip/address.ts";
import { parseMessage, type RawMessage, type Request, request } from "../message.ts";
import { NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_UNSPEC } from "../nftables/message.ts";
import {
  type ConntrackMessageKind,
  CTA_FILTER_F_CTA_IP_DST,
  CTA_FILTER_F_CTA_IP_SRC,
  DELETE,
  type FlowAttributes,
  GET,
  GET_STATS,
  NEW,
  type TupleAttributes,
} from "./message.ts";
import { decodeTuple, encodeTuple, formatTuple, type Tuple } from "./tuple.ts";

/** What names a flow. */
export interface FlowReference {
  readonly original: Tuple;
  /** The zone of both directions; 0 is the kernel's own. */
  readonly zone: number;
  readonly id: number;
}

/** A tracked flow. */
export interface TrackedFlow extends FlowReference {
  readonly family: Family;
  /** How answers come: where nothing is translated, the original turned round. */
  readonly reply: Tuple;
  /** IPS_*. */
  readonly status: number;
  readonly timeoutSeconds: number;
  readonly mark: number;
  /** TCP_CONNTRACK_*; `undefined` for other protocols. */
  readonly tcpState: number | undefined;
  /** The original tuple of the flow that announced this one (IPS_EXPECTED). */
  readonly master: Tuple | undefined;
}

/** What a dump is about: everything that is given must match, as far as the kernel can filter. */
export interface FlowFilter {
  readonly family?: Family;
  /**
   * Addresses of a direction, with `family` 4. Linux 5.8: older ones answer with everything. Not for
   * IPv6: Linux (5.8 to 6.18 at least) leaves out just the flows whose address is equal.
   */
  readonly original?: AddressFilter;
  readonly reply?: AddressFilter;
  /** Bits of the status that are set. Linux 5.15: older ones answer with everything. */
  readonly status?: number;
}

/** Addresses of a direction. */
export interface AddressFilter {
  readonly source?: Address;
  readonly destination?: Address;
}

/** Asks for the flows that `filter` lets through; where the kernel cannot filter, for more. */
export function dumpFlows(filter: FlowFilter = {}): Request {
  const { family, status } = filter;
  const { original, reply } = family === 4 ? filter : {};
  const flags = {
    originalFlags: original && filterFlags(original),
    replyFlags: reply && filterFlags(reply),
  };
  const attributes: FlowAttributes = {
    original: original && filterTuple(original),
    reply: reply && filterTuple(reply),
    status,
    statusMask: status,
    filter: original || reply ? flags : undefined,
  };
  return request(GET, { subject: "flows", header: { family: protocolOf(family) }, attributes });
}

/** Asks how many flows there are in this network namespace, and how many there may be. */
export function getFlowCount(): Request {
  return request(GET_STATS, { header: { family: NFPROTO_UNSPEC }, attributes: {} });
}

/** Parses the answer to {@link getFlowCount}; `flowsMax` from Linux 4.18 on. */
export function parseTableSize(
  raw: RawMessage,
): { readonly flows: number; readonly flowsMax: number | undefined } {
  const { entries = 0, entriesMax } = parseMessage(GET_STATS, raw).attributes;
  return { flows: entries, flowsMax: entriesMax };
}

/** Asks for the flow that has the original tuple now, whatever its id; ENOENT where there is none. */
export function getFlow(flow: FlowReference): Request {
  return flowRequest(GET, flow, {});
}

/** Deletes one flow; ENOENT where it has gone, or another with its tuple is there. */
export function deleteFlow(flow: FlowReference): Request {
  return flowRequest(DELETE, flow, { id: flow.id });
}

/**
 * Changes a flow: its status (bits can only be added, and IPS_CONFIRMED must be among them) and how long
 * it lives. ENOENT where it has gone; the kernel does not compare the id here.
 */
export function updateFlow(
  flow: FlowReference,
  change: { readonly status?: number; readonly timeoutSeconds?: number },
): Request {
  return flowRequest(NEW, flow, change);
}

/** Parses an IPCTNL_MSG_CT_NEW, as dumps have it; `undefined` where it lacks a tuple. */
export function parseFlow(raw: RawMessage): TrackedFlow | undefined {
  const { header, attributes } = parseMessage(NEW, raw);
  const original = decodeTuple(attributes.original);
  const reply = decodeTuple(attributes.reply);
  if (original === undefined || reply === undefined) return undefined;
  return {
    family: header.family === NFPROTO_IPV4 ? 4 : 6,
    original,
    reply,
    zone: attributes.zone ?? 0,
    id: attributes.id ?? 0,
    status: attributes.status ?? 0,
    timeoutSeconds: attributes.timeoutSeconds ?? 0,
    mark: attributes.mark ?? 0,
    tcpState: attributes.protocolInfo?.tcp?.state,
    master: decodeTuple(attributes.master),
  };
}

function flowRequest(
  kind: ConntrackMessageKind,
  { original, zone }: FlowReference,
  attributes: FlowAttributes,
): Request {
  return request(kind, {
    subject: `flow ${formatTuple(original)}`,
    header: { family: protocolOf(original.source.family) },
    attributes: {
      original: encodeTuple(original),
      ...attributes,
      zone: zone === 0 ? undefined : zone,
    },
  });
}

function protocolOf(family: Family | undefined): number {
  if (family === undefined) return NFPROTO_UNSPEC;
  return family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

function filterFlags({ source, destination }: AddressFilter): number {
  return (source === undefined ? 0 : CTA_FILTER_F_CTA_IP_SRC) |
    (destination === undefined ? 0 : CTA_FILTER_F_CTA_IP_DST);
}

function filterTuple({ source, destination }: AddressFilter): TupleAttributes {
  return { addresses: { source4: source, destination4: destination } };
}
