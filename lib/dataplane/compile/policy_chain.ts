/** One direction of one policy → a chain of allow rules, and the port sets that they need. */

import { FAMILIES, type Family } from "../../ip/address.ts";
import type { DesiredPolicy, DesiredPort, DesiredRule, DesiredSet } from "../../model/desired.ts";
import type { PortRange } from "../../model/policy.ts";
import type { Chain, NamedSet, Rule, Statement, Verdict } from "../ruleset.ts";
import {
  CHAIN_TO_POD,
  policyChainName,
  portSetName,
  ruleComment,
  setName,
  shortHash,
} from "./names.ts";

/** A policy's chain with the constant sets that its rules name. */
export interface PolicyChain {
  readonly chain: Chain;
  readonly portSets: readonly NamedSet[];
}

/** A match of a rule that holds for one family, or (undefined) for both. */
interface FamilyMatch {
  readonly family: Family | undefined;
  readonly statements: readonly Statement[];
}

/**
 * What an allow rule says: ingress was the last word, so accept; after egress the other end still has
 * its say, so go on to the packet's destination.
 */
function allowVerdict(policy: DesiredPolicy): Verdict {
  return policy.direction === "ingress"
    ? { code: "accept" }
    : { code: "goto", chain: CHAIN_TO_POD };
}

/** Compiles the chain of `policy`; `sets` are those that its rules' ids name. */
export function compilePolicyChain(
  policy: DesiredPolicy,
  sets: ReadonlyMap<string, DesiredSet>,
): PolicyChain {
  const portSets = new Map<string, NamedSet>();
  const end = policy.direction === "ingress" ? "source" : "destination";
  const verdict: Statement = { kind: "verdict", verdict: allowVerdict(policy) };
  const rules: Rule[] = [];
  for (const rule of policy.rules) {
    const comment = ruleComment(policy, rule.index);
    for (const peer of peerMatches(rule, end, sets)) {
      for (const port of portMatches(rule.ports, portSets)) {
        if (!agree(peer.family, port.family)) continue;
        rules.push(
          makeRule([...peer.statements, ...port.statements, { kind: "counter" }, verdict], comment),
        );
      }
    }
  }
  return { chain: { name: policyChainName(policy), rules }, portSets: [...portSets.values()] };
}

/** A rule with its tag: the hash of what it does and says. */
export function makeRule(statements: readonly Statement[], comment?: string): Rule {
  const tag = shortHash(JSON.stringify([statements, comment]));
  return comment === undefined ? { statements, tag } : { statements, comment, tag };
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

function addressMatch(
  end: "source" | "destination",
  family: Family,
  set: string,
): FamilyMatch {
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
