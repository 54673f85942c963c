/** One rule of a policy → rules of a chain, and the constant port sets that they need. */

import { FAMILIES, type Family } from "../../ip/address.ts";
import type {
  DenyAction,
  DesiredPolicy,
  DesiredPort,
  DesiredRule,
  DesiredSet,
} from "../../model/desired.ts";
import type { PortRange, RuleAction } from "../../model/policy.ts";
import type { NamedSet, Rule } from "../ruleset.ts";
import type { Statement } from "../statement/statement.ts";
import type { Verdict } from "../statement/verdict.ts";
import { portSetName, ruleComment, setName, shortHash } from "./names.ts";

/** A match of a rule that holds for one family, or (undefined) for both. */
interface FamilyMatch {
  readonly family: Family | undefined;
  readonly statements: readonly Statement[];
}

/** Inputs for the rules of a policy. */
export interface RuleContext {
  readonly policy: DesiredPolicy;
  readonly denyAction: DenyAction;
  readonly sets: ReadonlyMap<string, DesiredSet>;
  /** Takes the port sets that the rules name, by name. */
  readonly portSets: Map<string, NamedSet>;
}

/** Builds a rule with its tag: a hash of its statements and comment. */
export function makeRule(statements: readonly Statement[], comment?: string): Rule {
  const tag = shortHash(JSON.stringify([statements, comment]));
  return comment === undefined ? { statements, tag } : { statements, comment, tag };
}

/** A statement that ends the rule. */
export function verdict(value: Verdict): Statement {
  return { kind: "verdict", verdict: value };
}

/** Accept: the packet goes on to the hook's next base chain, which asks for the other end. */
export function accept(): Statement {
  return verdict({ code: "accept" });
}

/** A rule that drops what `statements` match, and counts it. */
export function drop(statements: readonly Statement[], comment: string): Rule {
  return makeRule([...statements, { kind: "counter" }, verdict({ code: "drop" })], comment);
}

/**
 * The rules that deny what `statements` match. Rejecting takes one for TCP and one for the rest, where
 * the statements do not say which it is.
 */
export function denyRules(
  statements: readonly Statement[],
  denyAction: DenyAction,
  comment: string,
): readonly Rule[] {
  const counter: Statement = { kind: "counter" };
  if (denyAction === "drop") return [drop(statements, comment)];
  const refuse = (of: readonly Statement[], how: "tcpReset" | "adminProhibited"): Rule =>
    makeRule([...of, counter, { kind: "reject", with: how }], comment);
  const protocol = statements.map((it) => "protocol" in it ? it.protocol : undefined)
    .find((it) => it !== undefined);
  if (protocol === "TCP") return [refuse(statements, "tcpReset")];
  const others = refuse(statements, "adminProhibited");
  if (protocol !== undefined) return [others];
  return [refuse([...statements, { kind: "protocol", protocol: "TCP" }], "tcpReset"), others];
}

/** The rules that one rule of a policy becomes: its peers and ports, multiplied, in each family. */
export function compileRule(rule: DesiredRule, context: RuleContext): readonly Rule[] {
  const { policy, sets, portSets } = context;
  const end = policy.direction === "ingress" ? "source" : "destination";
  const comment = ruleComment(policy, rule.index);
  const rules: Rule[] = [];
  for (const peer of peerMatches(rule, end, sets)) {
    for (const port of portMatches(rule.ports, portSets)) {
      if (!agree(peer.family, port.family)) continue;
      const statements = [...peer.statements, ...port.statements];
      rules.push(...actionRules(rule.action, statements, comment, context));
    }
  }
  return rules;
}

function actionRules(
  action: RuleAction,
  statements: readonly Statement[],
  comment: string,
  { denyAction }: RuleContext,
): readonly Rule[] {
  if (action === "deny") return denyRules(statements, denyAction, comment);
  const value: Verdict = { code: action === "pass" ? "return" : "accept" };
  return [makeRule([...statements, { kind: "counter" }, verdict(value)], comment)];
}

function agree(a: Family | undefined, b: Family | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

function peerMatches(
  rule: DesiredRule,
  end: "source" | "destination",
  sets: ReadonlyMap<string, DesiredSet>,
): readonly FamilyMatch[] {
  if (rule.peers === undefined) return [{ family: undefined, statements: [] }];
  return rule.peers.flatMap((id) => {
    const set = sets.get(id);
    if (set === undefined || set.kind === "addressPorts") return []; // fails closed
    if (set.kind === "addresses") {
      return FAMILIES.map((family) => addressMatch(end, family, setName("a", family, id)));
    }
    return set.ranges.length === 0
      ? []
      : [addressMatch(end, set.family, setName("r", set.family, id))];
  });
}

function addressMatch(end: "source" | "destination", family: Family, set: string): FamilyMatch {
  return { family, statements: [{ kind: "addressInSet", end, family, set }] };
}

function portMatches(
  ports: readonly DesiredPort[] | undefined,
  portSets: Map<string, NamedSet>,
): readonly FamilyMatch[] {
  if (ports === undefined) return [{ family: undefined, statements: [] }];
  return ports.flatMap((port): FamilyMatch[] => {
    if (port.kind === "named") {
      return FAMILIES.map((family) => ({
        family,
        statements: [{ kind: "addressPortInSet", family, set: setName("n", family, port.set) }],
      }));
    }
    return [{ family: undefined, statements: [numberMatch(port, portSets)] }];
  });
}

function numberMatch(
  { protocol, ranges }: Extract<DesiredPort, { kind: "numbers" }>,
  portSets: Map<string, NamedSet>,
): Statement {
  if (ranges === undefined) return { kind: "protocol", protocol };
  const [range] = ranges;
  if (ranges.length === 1 && range !== undefined) return { kind: "port", protocol, range };
  const set = portSet(ranges);
  portSets.set(set.name, set);
  return { kind: "portInSet", protocol, set: set.name };
}

function portSet(ranges: readonly PortRange[]): NamedSet {
  const text = ranges.map(({ first, last }) => first === last ? first : `${first}-${last}`).join();
  return { name: portSetName(text), type: { key: "port" }, elements: { kind: "ports", ranges } };
}
