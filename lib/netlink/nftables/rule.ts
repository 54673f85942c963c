/** Rules. `enum nft_rule_attributes`: <linux/netfilter/nf_tables.h>. */

import {
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_REPLACE,
  type RawMessage,
  type Request,
} from "../message.ts";
import { attributes, type AttributesOf, be64, bytes, list, text } from "../schema.ts";
import { refusedEntry } from "./attribute_span.ts";
import { type Expression, expression } from "./expression.ts";
import {
  formatTable,
  lateTableRequest,
  messageKind,
  NFT_MSG_DELRULE,
  NFT_MSG_GETRULE,
  NFT_MSG_NEWRULE,
  parseMessage,
  type TableReference,
  tableRequest,
} from "./message.ts";
import { type Annotation, annotationFields, annotationOf, userData } from "./user_data.ts";

const expressionList = list(expression);

const EXPRESSIONS = 4;

const rows = {
  table: [1, text], // NFTA_RULE_TABLE
  chain: [2, text], // NFTA_RULE_CHAIN
  handle: [3, be64], // NFTA_RULE_HANDLE
  expressions: [EXPRESSIONS, expressionList], // NFTA_RULE_EXPRESSIONS
  position: [6, be64], // NFTA_RULE_POSITION: handle of the rule to insert at; in dumps the one before
  userData: [7, userData], // NFTA_RULE_USERDATA
} as const;

/** `enum nft_rule_attributes`. */
const ruleAttributes = attributes("rule", rows);
/** The same, with the expressions as bytes: they are decoded only when asked for. */
const dumpedAttributes = attributes("rule", { ...rows, expressions: [EXPRESSIONS, bytes] });

const NEWRULE = messageKind("NFT_MSG_NEWRULE", NFT_MSG_NEWRULE, ruleAttributes);
const GETRULE = messageKind("NFT_MSG_GETRULE", NFT_MSG_GETRULE, ruleAttributes);
const DELRULE = messageKind("NFT_MSG_DELRULE", NFT_MSG_DELRULE, ruleAttributes);
const DUMPED = messageKind("NFT_MSG_NEWRULE", NFT_MSG_NEWRULE, dumpedAttributes);
const DELETED = messageKind("NFT_MSG_DELRULE", NFT_MSG_DELRULE, dumpedAttributes);

/** A chain, as rules refer to it. */
export interface RuleScope {
  readonly table: TableReference;
  readonly chain: string;
}

/** A rule to make. */
export interface NewRule extends RuleScope, Annotation {
  /** A function is called each time the request is written. */
  readonly expressions: readonly Expression[] | (() => readonly Expression[]);
  /** Where: at the end of the chain unless it says `first`, or `replace` with a handle. */
  readonly place?: "last" | "first" | { readonly replace: bigint };
  /** Whether the kernel sends the rule back with its handle, for {@link parseEchoedRules}. */
  readonly echo?: boolean;
}

/** A rule as the kernel has it. */
export interface Rule {
  readonly table: TableReference;
  readonly chain: string;
  readonly handle: bigint;
  /** Decoded when they are first asked for. */
  readonly expressions: readonly Expression[];
  readonly comment: string | undefined;
  readonly tag: string | undefined;
}

/** `NFT_MSG_NEWRULE`: adds a rule, or replaces the one with the handle `replace`. */
export function newRule(
  { table, chain, expressions, place = "last", echo = false, ...annotation }: NewRule,
): Request {
  const replaced = typeof place === "object" ? place.replace : undefined;
  const flags = replaced !== undefined
    ? NLM_F_REPLACE
    : place === "last"
    ? NLM_F_CREATE | NLM_F_APPEND
    : NLM_F_CREATE;
  return lateTableRequest(NEWRULE, table.family, subject(table, chain, annotation.comment), () => ({
    table: table.name,
    chain,
    handle: replaced,
    expressions: typeof expressions === "function" ? expressions() : expressions,
    userData: annotationFields(annotation),
  }), echo ? flags | NLM_F_ECHO : flags);
}

/** `NFT_MSG_DELRULE` for one rule by its handle; ENOENT when there is none. */
export function deleteRule(
  { table, chain, handle }: RuleScope & { readonly handle: bigint },
): Request {
  return tableRequest(DELRULE, table.family, `${subject(table, chain)} handle ${handle}`, {
    table: table.name,
    chain,
    handle,
  });
}

/** `NFT_MSG_DELRULE` without a handle: deletes every rule of a chain. */
export function flushChain({ table, chain }: RuleScope): Request {
  return tableRequest(DELRULE, table.family, `rules of chain ${formatTable(table)} ${chain}`, {
    table: table.name,
    chain,
  });
}

/** Dumps the rules of a table, or of one chain of it; each reply is for {@link parseRule}. */
export function dumpRules(table: TableReference, chain?: string): Request {
  return tableRequest(GETRULE, table.family, `rules of ${formatTable(table)}`, {
    table: table.name,
    chain,
  });
}

/** Parses an NFT_MSG_NEWRULE. */
export function parseRule(raw: RawMessage): Rule {
  const { family, attributes } = parseMessage(DUMPED, raw);
  return ruleOf(family, attributes);
}

/** The rules among what a transaction echoed; there may be an NFT_MSG_NEWGEN besides. */
export function parseEchoedRules(messages: readonly RawMessage[]): Rule[] {
  return messages.filter((it) => it.type === NEWRULE.type).map(parseRule);
}

/** Parses an NFT_MSG_DELRULE notification. */
export function parseDeletedRule(raw: RawMessage): Rule {
  const { family, attributes } = parseMessage(DELETED, raw);
  return ruleOf(family, attributes);
}

/**
 * The expression for which the kernel refused a rule: it does not know its kind, or not its data.
 *
 * @param request a {@link newRule}
 * @param attributeOffset `NetlinkError.attributeOffset`
 */
export function refusedExpression(
  request: Request,
  attributeOffset: number,
): Expression | undefined {
  if (request.type !== NEWRULE.type) return undefined;
  const entry = refusedEntry(request, EXPRESSIONS, attributeOffset);
  return entry && expression.read(entry);
}

function ruleOf(family: number, attributes: AttributesOf<typeof dumpedAttributes>): Rule {
  let expressions: readonly Expression[] | undefined;
  return {
    table: { family, name: attributes.table ?? "" },
    chain: attributes.chain ?? "",
    handle: attributes.handle ?? 0n,
    get expressions() {
      return expressions ??= expressionList.read(attributes.expressions ?? new Uint8Array(0));
    },
    ...annotationOf(attributes.userData),
  };
}

function subject(table: TableReference, chain: string, comment?: string): string {
  const rule = `rule of chain ${formatTable(table)} ${chain}`;
  return comment === undefined ? rule : `${rule} "${comment}"`;
}
