/** Addresses of links: adding, deleting, listing, and what the kernel answers. */

import type { Family } from "../../ip/address.ts";
import { Prefix } from "../../ip/prefix.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../message.ts";
import { parseMessage, type RawMessage, type Request, request } from "../message.ts";
import { familyNumber, familyOf } from "./ip_address.ts";
import {
  DELADDR,
  GETADDR,
  IFA_F_NODAD,
  NEWADDR,
  RT_SCOPE_UNIVERSE,
  RTM_DELADDR,
} from "./message.ts";

/** An address to add to a link. */
export interface NewAddress {
  /** The link's index. */
  readonly index: number;
  /** The address with its host bits, and the length of the network it is in. */
  readonly prefix: Prefix;
  /** IPv6: usable at once, without asking whether another has it; IPv4 never asks. */
  readonly noDad?: boolean;
  /** RT_SCOPE_*. @default {RT_SCOPE_UNIVERSE} */
  readonly scope?: number;
  /** Whether it may be there already; EEXIST otherwise. */
  readonly replace?: boolean;
}

/** An address as the kernel has it. */
export interface LinkAddress {
  readonly index: number;
  readonly prefix: Prefix;
  /** IFA_F_*. */
  readonly flags: number;
  /** RT_SCOPE_*. */
  readonly scope: number;
  /** IPv4: usually the link's name. */
  readonly label: string | undefined;
}

/** `RTM_NEWADDR`: adds an address to a link; EEXIST when the link has it. */
export function addAddress(
  { index, prefix, noDad = false, scope = RT_SCOPE_UNIVERSE, replace = false }: NewAddress,
): Request {
  const { address, length: prefixLength } = prefix;
  return request(NEWADDR, {
    flags: NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL),
    subject: formatSubject(index, prefix),
    header: {
      family: familyNumber(address.family),
      prefixLength,
      flags: noDad && address.family === 6 ? IFA_F_NODAD : 0,
      scope,
      index,
    },
    attributes: { local: address, address },
  });
}

/** Deletes an address of a link; EADDRNOTAVAIL when it does not have it. */
export function deleteAddress(
  { index, prefix }: { readonly index: number; readonly prefix: Prefix },
): Request {
  const { address, length: prefixLength } = prefix;
  return request(DELADDR, {
    subject: formatSubject(index, prefix),
    header: { family: familyNumber(address.family), prefixLength, index },
    attributes: { local: address, address },
  });
}

/** Asks for the addresses of one family, or of both; of one link, or of all. */
export function dumpAddresses(
  family?: Family,
  { index = 0 }: { readonly index?: number } = {},
): Request {
  return request(GETADDR, {
    subject: "addresses",
    header: { family: familyNumber(family), index },
    attributes: {},
  });
}

/**
 * Parses an address that the kernel sent: of a dump, or a notification that it came or
 * ({@link isDeletedAddress}) went.
 *
 * @throws {RangeError} if the message is truncated or of another family than IPv4 and IPv6
 */
export function parseAddress(raw: RawMessage): LinkAddress {
  const { header, attributes } = parseMessage(isDeletedAddress(raw) ? DELADDR : NEWADDR, raw);
  const address = attributes.local ?? attributes.address;
  if (address === undefined || address.family !== familyOf(header.family)) {
    throw new RangeError(`Address of link ${header.index} is missing or of the wrong family`);
  }
  return {
    index: header.index,
    prefix: new Prefix(address, header.prefixLength),
    flags: attributes.flags ?? header.flags,
    scope: header.scope,
    label: attributes.label,
  };
}

/** Whether a notification says that the address is gone. */
export function isDeletedAddress(raw: RawMessage): boolean {
  return raw.type === RTM_DELADDR;
}

function formatSubject(index: number, prefix: Prefix): string {
  return `address ${prefix} on link ${index}`;
}
