/** Computes the messages that turn the kernel's chains into those of a ruleset. */

import type { Request } from "../netlink/message.ts";
import {
  deleteChain,
  type Hook,
  newChain,
  NF_INET_FORWARD,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
} from "../netlink/nftables/chain.ts";
import type { Expression } from "../netlink/nftables/expression.ts";
import { flushChain, newRule } from "../netlink/nftables/rule.ts";
import type { BaseHook, Chain, Ruleset } from "./ruleset.ts";
import type { Sent, SentChain, SentChanges } from "./sent.ts";
import { encodeStatement } from "./statement/statement.ts";
import { TABLE } from "./table.ts";

/** NF_IP_PRI_FILTER: behind DNAT, so that policy sees pod addresses. */
const PRIORITY_FILTER = 0;
const HOOKS = {
  input: NF_INET_LOCAL_IN,
  forward: NF_INET_FORWARD,
  output: NF_INET_LOCAL_OUT,
} as const;

/** The tags of a chain's rules, as one text: equal for equal rules. */
function chainTags(chain: Chain): string {
  return chain.rules.map((rule) => rule.tag).join(" ");
}

/** Messages by phase: created chains are reached by no packet yet, except base chains. */
export interface ChainDifference {
  readonly created: Request[];
  readonly createdRules: Request[];
  readonly createdBase: Request[];
  /** Rules of chains that packets meet. */
  readonly rules: Request[];
  /** First the rules of all deleted chains, then the chains: they may jump to each other. */
  readonly deletedRules: Request[];
  readonly deleted: Request[];
  readonly sent: SentChanges<SentChain>;
  changed: number;
}

/** Compares the chains of these names. */
export function diffChains(
  sent: Sent,
  ruleset: Ruleset,
  names: Iterable<string>,
): ChainDifference {
  const out: ChainDifference = {
    created: [],
    createdRules: [],
    createdBase: [],
    rules: [],
    deletedRules: [],
    deleted: [],
    sent: new Map(),
    changed: 0,
  };
  for (const name of names) {
    const chain = ruleset.chains.get(name);
    const was = sent.chains.get(name);
    if (chain === undefined) {
      if (was === undefined) continue;
      out.changed++;
      out.deletedRules.push(flushChain({ table: TABLE, chain: name }));
      out.deleted.push(deleteChain({ table: TABLE, name }));
      out.sent.set(name, undefined);
      continue;
    }
    if (was?.chain === chain) continue;
    const { hook } = chain;
    const definition = baseDefinition(chain);
    const tags = chainTags(chain);
    out.sent.set(name, { hook: definition, tags, chain });
    // The kernel cannot change a base chain's hook or priority: it is deleted and added in one transaction.
    const isReplaced = was !== undefined && was.hook !== definition;
    if (isReplaced) out.createdBase.push(deleteChain({ table: TABLE, name }));
    const there = isReplaced ? undefined : was;
    const isUnseen = was === undefined && hook === undefined;
    if (there === undefined) {
      const created = newChain({ table: TABLE, name, hook: hook && hookOf(hook) });
      (isUnseen ? out.created : out.createdBase).push(created);
    }
    if (there?.tags === tags) continue;
    out.changed++;
    if (there !== undefined && there.tags !== "") {
      out.rules.push(flushChain({ table: TABLE, chain: name }));
    }
    const rules = isUnseen ? out.createdRules : out.rules;
    for (const rule of chain.rules) {
      const { comment, tag } = rule;
      const expressions = (): readonly Expression[] => rule.statements.flatMap(encodeStatement);
      rules.push(newRule({ table: TABLE, chain: name, expressions, comment, tag }));
    }
  }
  return out;
}

function hookOf({ name, priority }: BaseHook): Hook {
  const hook = HOOKS[name];
  return { hook, priority: PRIORITY_FILTER + priority, type: "filter", policy: "accept" };
}

/** A base chain's hook, priority, type and policy, as one text. */
export function formatHook({ hook, priority, type, policy = "accept" }: Hook): string {
  return `${type} hook ${hook} priority ${priority} policy ${policy}`;
}

/** The same of a chain of a ruleset; `undefined` for one that is no base chain. */
function baseDefinition({ hook }: Chain): string | undefined {
  return hook && formatHook(hookOf(hook));
}
