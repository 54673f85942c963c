/** Neighbours (ARP and NDP entries): adding, deleting, listing, and what the kernel answers. */

import type { Address, Family } from "../../ip/address.ts";
import { familyNumber, familyOf } from "../address/ip_address.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../message.ts";
import { parseMessage, type RawMessage, type Request, request } from "../message.ts";
import {
  DELNEIGH,
  GETNEIGH,
  NEWNEIGH,
  NUD_PERMANENT,
  NUD_REACHABLE,
  RTM_DELNEIGH,
} from "./message.ts";

/** Which neighbour: an address on a link. */
export interface NeighbourReference {
  /** The link's index. */
  readonly index: number;
  readonly address: Address;
}

/** A neighbour to add. */
export interface NewNeighbour extends NeighbourReference {
  /** `aa:bb:cc:dd:ee:ff`. */
  readonly linkAddress: string;
  /** Whether it stays; otherwise it ages as one that was just heard. @default {true} */
  readonly permanent?: boolean;
  /** Whether it takes the place of what is known of that address; EEXIST otherwise. */
  readonly replace?: boolean;
}

/** A neighbour as the kernel has it. */
export interface Neighbour {
  readonly family: Family;
  readonly index: number;
  readonly address: Address;
  /** `undefined` while it is not known. */
  readonly linkAddress: string | undefined;
  /** NUD_*. */
  readonly state: number;
  readonly permanent: boolean;
}

/** `RTM_NEWNEIGH`: adds a neighbour. EEXIST: there is one, and `replace` is not set. */
export function addNeighbour(neighbour: NewNeighbour): Request {
  const { index, address, linkAddress, permanent = true, replace = false } = neighbour;
  return request(NEWNEIGH, {
    flags: NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
    subject: formatSubject(neighbour),
    header: {
      family: familyNumber(address.family),
      index,
      state: permanent ? NUD_PERMANENT : NUD_REACHABLE,
    },
    attributes: { destination: address, linkAddress },
  });
}

/** Deletes a neighbour; ENOENT when there is none. */
export function deleteNeighbour(neighbour: NeighbourReference): Request {
  const { index, address } = neighbour;
  return request(DELNEIGH, {
    subject: formatSubject(neighbour),
    header: { family: familyNumber(address.family), index },
    attributes: { destination: address },
  });
}

/** Asks for the neighbours of one family, or of both; on one link, or on all. */
export function dumpNeighbours(
  family?: Family,
  { index }: { readonly index?: number } = {},
): Request {
  return request(GETNEIGH, {
    subject: "neighbours",
    header: { family: familyNumber(family) },
    attributes: { index },
  });
}

/**
 * Parses a neighbour that the kernel sent: of a dump, or a notification that it came, changed or
 * ({@link isDeletedNeighbour}) went.
 *
 * @throws {RangeError} if the message is truncated or of another family than IPv4 and IPv6
 */
export function parseNeighbour(raw: RawMessage): Neighbour {
  const { header, attributes } = parseMessage(isDeletedNeighbour(raw) ? DELNEIGH : NEWNEIGH, raw);
  const { destination: address, linkAddress } = attributes;
  const family = familyOf(header.family);
  if (address === undefined || address.family !== family) {
    throw new RangeError(`Neighbour on link ${header.index} has no address of its family`);
  }
  return {
    family,
    index: header.index,
    address,
    linkAddress,
    state: header.state,
    permanent: (header.state & NUD_PERMANENT) !== 0,
  };
}

/** Whether a notification says that the neighbour is gone. */
export function isDeletedNeighbour(raw: RawMessage): boolean {
  return raw.type === RTM_DELNEIGH;
}

function formatSubject({ index, address }: NeighbourReference): string {
  return `neighbour ${address} on link ${index}`;
}
