/**
 * Flow tables: what is in one goes from device to device and crosses no hook after ingress. Only asking
 * for them; we make none. `enum nft_flowtable_attributes`: <linux/netfilter/nf_tables.h>.
 */

import type { RawMessage, Request } from "../message.ts";
import { attributes, be32, list, text } from "../schema.ts";
import {
  messageKind,
  NFPROTO_UNSPEC,
  NFT_MSG_GETFLOWTABLE,
  NFT_MSG_NEWFLOWTABLE,
  parseMessage,
  type TableReference,
  tableRequest,
} from "./message.ts";

/** `enum nft_flowtable_hook_attributes`. */
const hookAttributes = attributes("flowtable hook", {
  devices: [3, list(text)], // NFTA_FLOWTABLE_HOOK_DEVS, of NFTA_DEVICE_NAME
});

const flowTableAttributes = attributes("flowtable", {
  table: [1, text], // NFTA_FLOWTABLE_TABLE
  name: [2, text], // NFTA_FLOWTABLE_NAME
  hook: [3, hookAttributes], // NFTA_FLOWTABLE_HOOK
  use: [4, be32], // NFTA_FLOWTABLE_USE: number of rules that add flows
});

const NEWFLOWTABLE = messageKind(
  "NFT_MSG_NEWFLOWTABLE",
  NFT_MSG_NEWFLOWTABLE,
  flowTableAttributes,
);
const GETFLOWTABLE = messageKind(
  "NFT_MSG_GETFLOWTABLE",
  NFT_MSG_GETFLOWTABLE,
  flowTableAttributes,
);

/** A flow table as the kernel has it. */
export interface FlowTable {
  readonly table: TableReference;
  readonly name: string;
  /** By whose ingress its flows come in. */
  readonly devices: readonly string[];
  /** How many rules add flows to it. */
  readonly useCount: number;
}

/** Asks for the flow tables of all tables of all families. EINVAL: before Linux 4.16 there are none. */
export function dumpFlowTables(): Request {
  return tableRequest(GETFLOWTABLE, NFPROTO_UNSPEC, "flow tables", {});
}

/** Parses an NFT_MSG_NEWFLOWTABLE. */
export function parseFlowTable(raw: RawMessage): FlowTable {
  const { family, attributes } = parseMessage(NEWFLOWTABLE, raw);
  const { table = "", name = "", hook, use = 0 } = attributes;
  return { table: { family, name: table }, name, devices: hook?.devices ?? [], useCount: use };
}
