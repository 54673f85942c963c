/**
 * What governs the pods of a program → its chain, and the chains that it jumps to.
 *
 *   pods-ingress-…   vmap @states: known flows pass, invalid packets vanish
 *     ├─ jump admin-ingress-…      accept, deny, or return: pass to the next tier
 *     ├─ jump policy-ingress/ns/a  accept, or return: the next policy
 *     ├─ jump policy-ingress/ns/b
 *     ├─ (with policies) deny      what is not between the pod and itself or its node
 *     ├─ (without) jump baseline-ingress-…
 *     └─ accept
 *
 * Where there are many policies it jumps to groups of them: policy_group.ts.
 */

import { FAMILIES } from "../../ip/address.ts";
import type {
  DenyAction,
  Desired,
  DesiredPolicy,
  DesiredProgram,
  DesiredSet,
} from "../../model/desired.ts";
import type { Chain, NamedSet, Rule } from "../ruleset.ts";
import {
  cutComment,
  itselfSetName,
  MAP_STATES,
  policyChainName,
  programChainName,
  tierChainName,
} from "./names.ts";
import { compileGroups, UNGROUPED_MAX } from "./policy_group.ts";
import { accept, compileRule, denyRules, makeRule, verdict } from "./rule.ts";

/** A chain with the constant sets that its rules name. */
export interface CompiledChain {
  readonly chain: Chain;
  readonly portSets: readonly NamedSet[];
}

/** Compiled chains of NetworkPolicies, so that one that has not changed is compiled once. */
export type ChainCache = WeakMap<DesiredPolicy, CompiledChain>;

interface CompiledProgram {
  /** What it was compiled from, beside the program. */
  readonly policies: readonly (DesiredPolicy | undefined)[];
  readonly chains: readonly CompiledChain[];
}

/** An unchanged program with unchanged policies compiles to the same object. */
const compiledPrograms = new WeakMap<DesiredProgram, CompiledProgram>();

/** The program's own chain and those that it jumps to. */
export function compileProgram(
  program: DesiredProgram,
  desired: Desired,
  cache: ChainCache,
): readonly CompiledChain[] {
  const ids = [...program.admin, ...program.namespaced, ...program.baseline];
  const policies = ids.map((id) => desired.policies.get(id));
  const known = compiledPrograms.get(program);
  if (known !== undefined && known.policies.every((it, index) => it === policies[index])) {
    return known.chains;
  }
  const chains = compileNewProgram(program, desired, cache);
  compiledPrograms.set(program, { policies, chains });
  return chains;
}

/**
 * What none of the NetworkPolicies allows. None keeps a pod from itself: a packet that a Service has led
 * back to its sender, before masquerading. Nor from its node, by an address of the node that is not on the
 * host (a cloud's external one), so that the packet leaves it. So what is between other ends is denied, and
 * accepted what is left: policies only allow, and a packet is either IPv4 or IPv6.
 */
function noneAllows(denyAction: DenyAction, comment: string): readonly Rule[] {
  return [
    ...FAMILIES.flatMap((family) =>
      denyRules(
        [{ kind: "endsNotInSet", family, set: itselfSetName(family) }],
        denyAction,
        comment,
      )
    ),
    makeRule([{ kind: "counter" }, accept()], "a pod and itself, or its node"),
  ];
}

function compileNewProgram(
  program: DesiredProgram,
  desired: Desired,
  cache: ChainCache,
): readonly CompiledChain[] {
  const find = (ids: readonly string[]): readonly DesiredPolicy[] =>
    ids.map((id) => desired.policies.get(id)).filter((policy) => policy !== undefined);
  const namespaced = find(program.namespaced);
  const policies = namespaced.map((policy) => {
    const compiled = cache.get(policy) ?? compilePolicyChain(policy, desired.sets);
    cache.set(policy, compiled);
    return compiled;
  });
  const admin = compileTier("admin", find(program.admin), program, desired.sets);
  const baseline = compileTier("baseline", find(program.baseline), program, desired.sets);
  const jump = ({ chain }: CompiledChain): Rule =>
    makeRule([verdict({ code: "jump", chain: chain.name })]);
  const isGrouped = namespaced.length > UNGROUPED_MAX;
  const groups = isGrouped
    ? compileGroups(namespaced).map((group) => ({ chain: group, portSets: [] }))
    : [];
  // More would not fit into a comment.
  const names = namespaced.slice(0, UNGROUPED_MAX).map((it) => it.name).join(" ");
  const rules = [
    makeRule([{ kind: "ctStateMap", map: MAP_STATES }]),
    ...admin.map(jump),
    ...(isGrouped ? groups : policies).map(jump),
    ...(policies.length > 0
      ? noneAllows(
        program.denyAction,
        cutComment(`${program.direction}: none allows: ${names}`),
      )
      : [...baseline.map(jump), makeRule([accept()])]),
  ];
  const chain = { name: programChainName(program.direction, program.id), rules };
  return [{ chain, portSets: [] }, ...admin, ...groups, ...policies, ...baseline];
}

/** One direction of one NetworkPolicy, shared by every program that it is in. */
function compilePolicyChain(
  policy: DesiredPolicy,
  sets: ReadonlyMap<string, DesiredSet>,
): CompiledChain {
  const portSets = new Map<string, NamedSet>();
  const context = { policy, denyAction: "drop", sets, portSets } as const;
  const rules = policy.rules.flatMap((rule) => compileRule(rule, context));
  return { chain: { name: policyChainName(policy), rules }, portSets: [...portSets.values()] };
}

/**
 * The rules of a tier's policies in one chain, so that `return` leaves the tier: that is what "pass"
 * means. Programs with the same tier share it.
 */
function compileTier(
  tier: "admin" | "baseline",
  policies: readonly DesiredPolicy[],
  { direction, denyAction }: DesiredProgram,
  sets: ReadonlyMap<string, DesiredSet>,
): readonly CompiledChain[] {
  if (policies.length === 0) return [];
  const portSets = new Map<string, NamedSet>();
  const rules = policies.flatMap((policy) =>
    policy.rules.flatMap((rule) => compileRule(rule, { policy, denyAction, sets, portSets }))
  );
  const id = [denyAction, ...policies.map((it) => it.id)].join(" ");
  const name = tierChainName(tier, direction, id);
  return [{ chain: { name, rules }, portSets: [...portSets.values()] }];
}
