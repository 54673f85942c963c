/**
 * Chains. `enum nft_chain_attributes`, `enum nft_hook_attributes`: <linux/netfilter/nf_tables.h>;
 * NF_INET_*: <linux/netfilter.h>.
 */

import { NLM_F_CREATE, NLM_F_EXCL, type RawMessage, type Request } from "../message.ts";
import { attributes, type AttributesOf, be32, be64, bes32, text } from "../schema.ts";
import { NF_ACCEPT, NF_DROP } from "./data.ts";
import {
  formatTable,
  messageKind,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DESTROYCHAIN,
  NFT_MSG_GETCHAIN,
  NFT_MSG_NEWCHAIN,
  parseMessage,
  type TableReference,
  tableRequest,
} from "./message.ts";
import { type Annotation, annotationFields, annotationOf, userData } from "./user_data.ts";

export const NF_INET_PRE_ROUTING = 0;
export const NF_INET_LOCAL_IN = 1;
export const NF_INET_FORWARD = 2;
export const NF_INET_LOCAL_OUT = 3;
export const NF_INET_POST_ROUTING = 4;

/** `enum nft_hook_attributes`. */
const hookAttributes = attributes("hook", {
  number: [1, be32], // NFTA_HOOK_HOOKNUM
  priority: [2, bes32], // NFTA_HOOK_PRIORITY
});

/** `enum nft_chain_attributes`. */
const chainAttributes = attributes("chain", {
  table: [1, text], // NFTA_CHAIN_TABLE
  handle: [2, be64], // NFTA_CHAIN_HANDLE
  name: [3, text], // NFTA_CHAIN_NAME
  type: [7, text], // NFTA_CHAIN_TYPE
  policy: [5, be32], // NFTA_CHAIN_POLICY: NF_DROP or NF_ACCEPT
  hook: [4, hookAttributes], // NFTA_CHAIN_HOOK
  use: [6, be32], // NFTA_CHAIN_USE: number of rules and references
  flags: [10, be32], // NFTA_CHAIN_FLAGS
  userData: [12, userData], // NFTA_CHAIN_USERDATA, Linux 5.9
});

const NEWCHAIN = messageKind("NFT_MSG_NEWCHAIN", NFT_MSG_NEWCHAIN, chainAttributes);
const GETCHAIN = messageKind("NFT_MSG_GETCHAIN", NFT_MSG_GETCHAIN, chainAttributes);
const DELCHAIN = messageKind("NFT_MSG_DELCHAIN", NFT_MSG_DELCHAIN, chainAttributes);
const DESTROYCHAIN = messageKind("NFT_MSG_DESTROYCHAIN", NFT_MSG_DESTROYCHAIN, chainAttributes);

/** Where packets enter a base chain. */
export interface Hook {
  /** NF_INET_*. */
  readonly hook: number;
  /** Chains of one hook run in ascending order. */
  readonly priority: number;
  readonly type: "filter" | "nat" | "route";
  /** What happens at the end of the chain; `accept` when absent. */
  readonly policy?: "accept" | "drop" | undefined;
}

/** A chain by its table and name. */
export interface ChainReference {
  readonly table: TableReference;
  readonly name: string;
}

/** A chain to make; with `hook` a base chain. */
export interface NewChain extends ChainReference, Annotation {
  readonly hook?: Hook | undefined;
  /** Whether it is an error that it is there (EEXIST). */
  readonly exclusive?: boolean;
}

/** A chain as the kernel has it. */
export interface Chain {
  readonly table: TableReference;
  readonly name: string;
  readonly handle: bigint;
  readonly hook: Hook | undefined;
  /** How many rules are in it and how many verdicts lead to it. */
  readonly useCount: number;
  readonly comment: string | undefined;
  readonly tag: string | undefined;
}

/**
 * Makes a chain, or changes the policy of the one that is there. The kernel takes no change of hook or
 * priority (EOPNOTSUPP), and ignores a changed comment.
 */
export function newChain(
  { table, name, hook, exclusive = false, ...annotation }: NewChain,
): Request {
  return tableRequest(NEWCHAIN, table.family, subject(table, name), {
    table: table.name,
    name,
    hook: hook && { number: hook.hook, priority: hook.priority },
    policy: hook && (hook.policy === "drop" ? NF_DROP : NF_ACCEPT),
    type: hook?.type,
    userData: annotationFields(annotation),
  }, NLM_F_CREATE | (exclusive ? NLM_F_EXCL : 0));
}

/** Deletes a chain with its rules; EBUSY while verdicts lead to it. */
export function deleteChain({ table, name }: ChainReference): Request {
  return tableRequest(DELCHAIN, table.family, subject(table, name), { table: table.name, name });
}

/** Deletes a chain if it is there. Linux 6.3. */
export function destroyChain({ table, name }: ChainReference): Request {
  return tableRequest(DESTROYCHAIN, table.family, subject(table, name), {
    table: table.name,
    name,
  });
}

/** `NFT_MSG_GETCHAIN` for one chain; ENOENT when there is none. Reply: {@link parseChain}. */
export function getChain({ table, name }: ChainReference): Request {
  return tableRequest(GETCHAIN, table.family, subject(table, name), { table: table.name, name });
}

/** Asks for the chains; the kernel sends those of every table of the family. */
export function dumpChains(table: TableReference): Request {
  return tableRequest(GETCHAIN, table.family, `chains of ${formatTable(table)}`, {
    table: table.name,
  });
}

/** Parses an NFT_MSG_NEWCHAIN. */
export function parseChain(raw: RawMessage): Chain {
  const { family, attributes } = parseMessage(NEWCHAIN, raw);
  return chainOf(family, attributes);
}

/** Parses an NFT_MSG_DELCHAIN notification. */
export function parseDeletedChain(raw: RawMessage): Chain {
  const { family, attributes } = parseMessage(DELCHAIN, raw);
  return chainOf(family, attributes);
}

function chainOf(family: number, attributes: AttributesOf<typeof chainAttributes>): Chain {
  const { hook, type } = attributes;
  return {
    table: { family, name: attributes.table ?? "" },
    name: attributes.name ?? "",
    handle: attributes.handle ?? 0n,
    hook: hook && {
      hook: hook.number ?? 0,
      priority: hook.priority ?? 0,
      type: type === "nat" || type === "route" ? type : "filter",
      policy: attributes.policy === NF_DROP ? "drop" : "accept",
    },
    useCount: attributes.use ?? 0,
    ...annotationOf(attributes.userData),
  };
}

function subject(table: TableReference, name: string): string {
  return `chain ${formatTable(table)} ${name}`;
}
