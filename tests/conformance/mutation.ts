/**
 * What changes between the probes of a ClusterNetworkPolicy test, said in words: `swap rules at index0
 * and index1`, `change priority from 60 to 40`, `change tier from Admin to Baseline`, `delete rule at
 * index1`, `delete CNP name`, `change ingress rule from "deny" to "pass"`, `replace
 * the tcp port 8080 rule as named port rule which translate to tcp port 80`, `insert rule at index0
 * action: "Accept" networks: a-0.IP`, `delete network policy …`. A sentence that is none of these is an
 * error that quotes it.
 *
 * The words leave open which policy is meant: it is every one where rules are swapped, and otherwise
 * the first in the manifest that is as the sentence says.
 */

import { Address } from "../../lib/ip/address.ts";
import { Prefix } from "../../lib/ip/prefix.ts";
import type { CaseState } from "./case_state.ts";
import type { Json, JsonObject } from "./json.ts";

const DIRECTIONS = ["ingress", "egress"] as const;
type Direction = (typeof DIRECTIONS)[number];

/** A rule of a ClusterNetworkPolicy; only what a mutation looks at. */
type Rule = JsonObject;

/** Does what a match says; `false` where there is nothing that it could be done to. */
type Mutation = (state: CaseState, match: RegExpExecArray) => boolean;

const WHERE = "(?: for (both ingress and egress|ingress|egress))?";
const ACTION = '"?(accept|allow|deny|pass)"?';

const MUTATIONS: readonly (readonly [RegExp, Mutation])[] = [
  [
    new RegExp(
      `^swap (?:(ingress|egress) )?rules at index ?(\\d+) and index ?(\\d+)${WHERE}$`,
      "i",
    ),
    (state, [, before, first, second, after]) =>
      changeEach(state, directionsOf(before ?? after), (rules) => {
        const [a, b] = [rules[Number(first)], rules[Number(second)]];
        if (a === undefined || b === undefined) return undefined;
        return rules.with(Number(first), b).with(Number(second), a);
      }),
  ],
  [
    new RegExp(
      `^change (?:(ingress|egress) )?rules?(?: at index ?(\\d+))? from ${ACTION} to ${ACTION}${WHERE}$`,
      "i",
    ),
    (state, [, before, index, from, to, after]) =>
      directionsOf(before ?? after).filter((direction) =>
        changeFirst(state, (policy) => {
          const rules = rulesOf(policy, direction) ?? [];
          const at = index === undefined
            ? rules.findIndex((it) => it.action === actionOf(from))
            : Number(index);
          const rule = rules[at];
          if (rule?.action !== actionOf(from)) return undefined;
          return withRules(policy, direction, rules.with(at, { ...rule, action: actionOf(to) }));
        })
      ).length > 0,
  ],
  [
    /^change priority from (\d+) to (\d+)$/i,
    (state, [, from, to]) =>
      changeFirst(state, (policy) => {
        const spec = policy.spec as JsonObject;
        if (spec.priority !== Number(from)) return undefined;
        return { ...policy, spec: { ...spec, priority: Number(to) } };
      }),
  ],
  [
    /^(?:replace|rewrite) the (tcp|udp|sctp) port (\d+) rule as named port rule(?: which translates? to (?:tcp|udp|sctp) port (\d+).*)?$/i,
    (state, [, protocol = "", from, to]) => {
      const name = portName(state, protocol.toUpperCase(), Number(to ?? from));
      if (name === undefined) return false;
      return changeFirstRule(state, (rule) => {
        const first = (rule.protocols as readonly JsonObject[] | undefined)?.[0];
        const { destinationPort } = (first?.[protocol.toLowerCase()] ?? {}) as JsonObject;
        if ((destinationPort as JsonObject | undefined)?.number !== Number(from)) return undefined;
        return { ...rule, protocols: [{ destinationNamedPort: name }] };
      });
    },
  ],
  [
    new RegExp(
      `^insert (?:the following |a |new )*rule at index ?(\\d+)\\b.*action: ${ACTION}.*networks:(.+)$`,
      "is",
    ),
    (state, [, index, action, networks = ""]) => {
      const names = [...networks.matchAll(/([a-z0-9-]+)\.IP\b/g)].map((it) => it[1] ?? "");
      if (names.length === 0) return false;
      const to = [{ networks: names.map((it) => hostNetworkOf(state.pod(it).address)) }];
      return changeFirst(state, (policy) => {
        const rules = rulesOf(policy, "egress") ?? [];
        const inserted = rules.toSpliced(Number(index), 0, { action: actionOf(action), to });
        return withRules(policy, "egress", inserted);
      });
    },
  ],
  [
    /^change tier from "?(admin|baseline)"? to "?(admin|baseline)"?$/i,
    (state, [, from, to]) =>
      changeFirst(state, (policy) => {
        const spec = policy.spec as JsonObject;
        if (spec.tier !== capitalize(from)) return undefined;
        return { ...policy, spec: { ...spec, tier: capitalize(to) } };
      }),
  ],
  [
    new RegExp(
      `^(?:delete|remove) (?:the )?(?:(ingress|egress) )?rule at index ?(\\d+)${WHERE}$`,
      "i",
    ),
    (state, [, before, index, after]) =>
      directionsOf(before ?? after).filter((direction) =>
        changeFirst(state, (policy) => {
          const rules = rulesOf(policy, direction) ?? [];
          if (rules[Number(index)] === undefined) return undefined;
          return withRules(policy, direction, rules.toSpliced(Number(index), 1));
        })
      ).length > 0,
  ],
  [
    /^delete (?:the )?(?:cluster network policy|CNP) "?([a-z0-9.-]+)"?$/i,
    (state, [, name = ""]) => {
      if (!state.clusterPolicies.has(name)) return false;
      state.deleteClusterPolicy(name);
      return true;
    },
  ],
  [
    /^delete (?:the )?network policy\b/i,
    (state) => {
      const isThere = state.snapshot().policies.size > 0;
      state.deletePolicies();
      return isThere;
    },
  ],
];

/** Does what `sentence` says. @throws {SyntaxError} quoting it if it is not known, or cannot be */
export function mutate(state: CaseState, sentence: Json): void {
  const text = sentence.text();
  for (const [pattern, change] of MUTATIONS) {
    const match = pattern.exec(text.trim());
    if (match === null) continue;
    if (change(state, match)) return;
    throw new SyntaxError(`${sentence.path}: there is nothing to which "${text}" could be done`);
  }
  throw new SyntaxError(`${sentence.path}: action "${text}" is not known`);
}

function directionsOf(words: string | undefined): readonly Direction[] {
  return DIRECTIONS.filter((it) =>
    words === undefined || words.toLowerCase().split(" ").includes(it)
  );
}

function capitalize(word = ""): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase();
}

/** `allow` was the action's name before v1alpha2. */
function actionOf(word: string | undefined): string {
  const name = word?.toLowerCase() ?? "";
  return name === "allow" || name === "accept" ? "Accept" : name === "deny" ? "Deny" : "Pass";
}

function rulesOf(policy: JsonObject, direction: Direction): readonly Rule[] | undefined {
  return (policy.spec as JsonObject)[direction] as readonly Rule[] | undefined;
}

function withRules(policy: JsonObject, direction: Direction, rules: readonly Rule[]): JsonObject {
  return { ...policy, spec: { ...(policy.spec as JsonObject), [direction]: rules } };
}

function portName(state: CaseState, protocol: string, port: number): string | undefined {
  const ports = [...state.snapshot().pods.values()].flatMap((it) => it.ports);
  return ports.find((it) => it.protocol === protocol && it.port === port)?.name;
}

function hostNetworkOf(address: string): string {
  return String(Prefix.host(Address.parse(address)));
}

/** Changes the first rule of the first policy for which `change` has an answer. */
function changeFirstRule(
  state: CaseState,
  change: (rule: Rule) => Rule | undefined,
): boolean {
  return changeFirst(state, (policy) => {
    for (const direction of DIRECTIONS) {
      const rules = rulesOf(policy, direction) ?? [];
      for (const [index, rule] of rules.entries()) {
        const next = change(rule);
        if (next !== undefined) return withRules(policy, direction, rules.with(index, next));
      }
    }
    return undefined;
  });
}

function changeEach(
  state: CaseState,
  directions: readonly Direction[],
  change: (rules: readonly Rule[]) => readonly Rule[] | undefined,
): boolean {
  let isChanged = false;
  for (const [name, policy] of state.clusterPolicies) {
    let next = policy;
    for (const direction of directions) {
      const rules = change(rulesOf(policy, direction) ?? []);
      if (rules !== undefined) next = withRules(next, direction, rules);
    }
    if (next === policy) continue;
    state.replaceClusterPolicy(name, next);
    isChanged = true;
  }
  return isChanged;
}

function changeFirst(
  state: CaseState,
  change: (policy: JsonObject) => JsonObject | undefined,
): boolean {
  for (const [name, policy] of state.clusterPolicies) {
    const next = change(policy);
    if (next === undefined) continue;
    state.replaceClusterPolicy(name, next);
    return true;
  }
  return false;
}
