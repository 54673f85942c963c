/**
 * What members of NFNLGRP_NFTABLES hear: for each commit its changes, then an NFT_MSG_NEWGEN that says
 * who made them. Rules, elements and the rest carry what a dump would.
 */

import { type RawMessage } from "../message.ts";
import { attributes, text } from "../schema.ts";
import { type Chain, parseChain, parseDeletedChain } from "./chain.ts";
import { type ParsedElementList, parseDeletedElements, parseElements } from "./element_list.ts";
import { type Generation, parseGeneration } from "./generation.ts";
import {
  nfgenmsg,
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSET,
  NFT_MSG_DELSETELEM,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWGEN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSET,
  NFT_MSG_NEWSETELEM,
  NFT_MSG_NEWTABLE,
  type TableReference,
} from "./message.ts";
import { parseDeletedRule, parseRule, type Rule } from "./rule.ts";
import { parseDeletedSet, parseSet, type SetDefinition } from "./set.ts";
import { parseDeletedTable, parseTable, type Table } from "./table.ts";

/** One change, or the end of a commit; `other` is of a kind that we never use. */
export type Notification =
  | { readonly kind: "table"; readonly deleted: boolean; readonly table: Table }
  | { readonly kind: "chain"; readonly deleted: boolean; readonly chain: Chain }
  | { readonly kind: "rule"; readonly deleted: boolean; readonly rule: Rule }
  | { readonly kind: "set"; readonly deleted: boolean; readonly set: SetDefinition }
  | { readonly kind: "elements"; readonly deleted: boolean; readonly list: ParsedElementList }
  | { readonly kind: "generation"; readonly generation: Generation }
  | { readonly kind: "other"; readonly type: number };

/** Parses a message that arrived at a member of NFNLGRP_NFTABLES. */
export function parseNotification(raw: RawMessage): Notification {
  if (raw.type >> 8 !== NFNL_SUBSYS_NFTABLES) return { kind: "other", type: raw.type };
  switch (raw.type & 0xff) {
    case NFT_MSG_NEWTABLE:
      return { kind: "table", deleted: false, table: parseTable(raw) };
    case NFT_MSG_DELTABLE:
      return { kind: "table", deleted: true, table: parseDeletedTable(raw) };
    case NFT_MSG_NEWCHAIN:
      return { kind: "chain", deleted: false, chain: parseChain(raw) };
    case NFT_MSG_DELCHAIN:
      return { kind: "chain", deleted: true, chain: parseDeletedChain(raw) };
    case NFT_MSG_NEWRULE:
      return { kind: "rule", deleted: false, rule: parseRule(raw) };
    case NFT_MSG_DELRULE:
      return { kind: "rule", deleted: true, rule: parseDeletedRule(raw) };
    case NFT_MSG_NEWSET:
      return { kind: "set", deleted: false, set: parseSet(raw) };
    case NFT_MSG_DELSET:
      return { kind: "set", deleted: true, set: parseDeletedSet(raw) };
    case NFT_MSG_NEWSETELEM:
      return { kind: "elements", deleted: false, list: parseElements(raw) };
    case NFT_MSG_DELSETELEM:
      return { kind: "elements", deleted: true, list: parseDeletedElements(raw) };
    case NFT_MSG_NEWGEN:
      return { kind: "generation", generation: parseGeneration(raw) };
    default:
      return { kind: "other", type: raw.type };
  }
}

/** In every kind of change the first attribute is the table's name: NFTA_TABLE_NAME, NFTA_RULE_TABLE, …. */
const tableAttribute = attributes("change", { table: [1, text] });

/**
 * The table that a change is about, without a look at the rest: others' transactions may have thousands.
 *
 * @returns `undefined` of an NFT_MSG_NEWGEN and of what is no change of tables
 */
export function changedTable(raw: RawMessage): TableReference | undefined {
  if (raw.type >> 8 !== NFNL_SUBSYS_NFTABLES || (raw.type & 0xff) === NFT_MSG_NEWGEN) {
    return undefined;
  }
  const { family } = nfgenmsg.read(raw.payload);
  const { table } = tableAttribute.read(raw.payload.subarray(nfgenmsg.size));
  return table === undefined ? undefined : { family, name: table };
}
