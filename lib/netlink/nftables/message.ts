/**
 * What every nf_tables message shares: `struct nfgenmsg`, the message numbers, the families, the table
 * that everything else lives in. `enum nf_tables_msg_types` and NFPROTO_*:
 * <linux/netfilter/nf_tables.h>, <linux/netfilter.h>; NFNL_*: <linux/netfilter/nfnetlink.h>.
 */

import {
  type MessageKind,
  parseMessage as parseKind,
  type RawMessage,
  type Request,
  request,
} from "../message.ts";
import { be16, type Codec, struct, u8 } from "../schema.ts";

export const NFNL_SUBSYS_NFTABLES = 10;
/** The multicast group of changes; {@link ./notification.ts} parses what it brings. */
export const NFNLGRP_NFTABLES = 7;

export const NFPROTO_UNSPEC = 0;
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_ARP = 3;
export const NFPROTO_NETDEV = 5;
export const NFPROTO_BRIDGE = 7;
export const NFPROTO_IPV6 = 10;

export const NFT_MSG_NEWTABLE = 0;
export const NFT_MSG_GETTABLE = 1;
export const NFT_MSG_DELTABLE = 2;
export const NFT_MSG_NEWCHAIN = 3;
export const NFT_MSG_GETCHAIN = 4;
export const NFT_MSG_DELCHAIN = 5;
export const NFT_MSG_NEWRULE = 6;
export const NFT_MSG_GETRULE = 7;
export const NFT_MSG_DELRULE = 8;
export const NFT_MSG_NEWSET = 9;
export const NFT_MSG_GETSET = 10;
export const NFT_MSG_DELSET = 11;
export const NFT_MSG_NEWSETELEM = 12;
export const NFT_MSG_GETSETELEM = 13;
export const NFT_MSG_DELSETELEM = 14;
export const NFT_MSG_NEWGEN = 15;
export const NFT_MSG_GETGEN = 16;
/** Since Linux 4.16. */
export const NFT_MSG_NEWFLOWTABLE = 22;
export const NFT_MSG_GETFLOWTABLE = 23;
/** Delete if it is there; these since Linux 6.3. */
export const NFT_MSG_DESTROYTABLE = 26;
export const NFT_MSG_DESTROYCHAIN = 27;
export const NFT_MSG_DESTROYSET = 29;
export const NFT_MSG_DESTROYSETELEM = 30;

/** `struct nfgenmsg`; the version is 0. */
export const nfgenmsg = struct("nfgenmsg", 4, { family: u8, version: u8, resourceId: be16 });

/** An nf_tables message with these attributes. */
export type NftablesMessageKind<A> = MessageKind<{ family: Codec<number> }, A>;

/** The kind of message that `enum nf_tables_msg_types` numbers `number`. */
export function messageKind<A>(
  name: string,
  number: number,
  attributes: Codec<A>,
): NftablesMessageKind<A> {
  return { name, type: (NFNL_SUBSYS_NFTABLES << 8) | number, header: nfgenmsg, attributes };
}

/** A table by its family (NFPROTO_*) and name: the scope of everything else. */
export interface TableReference {
  readonly family: number;
  readonly name: string;
}

/** Makes a request about something of `family`. */
export function tableRequest<A>(
  kind: NftablesMessageKind<A>,
  family: number,
  subject: string,
  attributes: A,
  flags = 0,
): Request {
  return request(kind, { flags, subject, header: { family }, attributes });
}

/**
 * The same, with attributes that are made each time the request is written: a program of 60,000 requests
 * then never has the attributes of all of them in memory.
 */
export function lateTableRequest<A>(
  kind: NftablesMessageKind<A>,
  family: number,
  subject: string,
  attributes: () => A,
  flags = 0,
): Request {
  return {
    ...{ name: kind.name, type: kind.type, flags, subject },
    write: (writer) => tableRequest(kind, family, subject, attributes(), flags).write(writer),
  };
}

/** Parses a reply of `kind`. */
export function parseMessage<A>(
  kind: NftablesMessageKind<A>,
  raw: RawMessage,
): { readonly family: number; readonly attributes: A } {
  const { header, attributes } = parseKind(kind, raw);
  return { family: header.family, attributes };
}

const FAMILY_NAMES: Readonly<Record<number, string>> = {
  [NFPROTO_INET]: "inet",
  [NFPROTO_IPV4]: "ip",
  [NFPROTO_ARP]: "arp",
  [NFPROTO_NETDEV]: "netdev",
  [NFPROTO_BRIDGE]: "bridge",
  [NFPROTO_IPV6]: "ip6",
};

/** `inet calyx`, as nft(8) writes it. */
export function formatTable(table: TableReference): string {
  return `${FAMILY_NAMES[table.family] ?? table.family} ${table.name}`;
}
