/**
 * Groups the policies of a program that has many. Adding or removing one policy then replaces one group's
 * chain and the jumps to groups, not one jump for each policy.
 *
 *   pods-ingress-…
 *     ├─ jump group-ingress-…      accept, or return: the next group
 *     │    ├─ jump policy-ingress/ns/a
 *     │    └─ jump policy-ingress/ns/b
 *     └─ jump group-ingress-…
 *
 * A hash of the policy's id decides whether it ends a group (content-defined chunking), so a change leaves
 * all groups before it and nearly all behind it as they are. The name of a group's chain is a hash of its
 * policies' ids, and the chain of that name never changes.
 */

import type { DesiredPolicy } from "../../model/desired.ts";
import type { Chain } from "../ruleset.ts";
import { groupChainName, policyChainName } from "./names.ts";
import { makeRule, verdict } from "./rule.ts";

/** Up to this many policies, a program's chain jumps to each policy's chain directly. */
export const UNGROUPED_MAX = 64;
/** On average one of this many policies ends a group. */
const END_EVERY = 48;
/** Users choose the names of policies and with them where groups end: only a limit bounds a group's size. */
const GROUP_MIN = 16;
const GROUP_MAX = 256;

/** A group's chain by the group's first policy, as long as that lives. */
const compiledGroups = new WeakMap<DesiredPolicy, Chain>();

/** The chains of the groups of `policies`, in order. */
export function compileGroups(policies: readonly DesiredPolicy[]): readonly Chain[] {
  return groupsOf(policies).map((group) => {
    const [first] = group;
    const name = groupChainName(first.direction, group.map((it) => it.id).join(" "));
    const known = compiledGroups.get(first);
    if (known?.name === name) return known;
    const rules = group.map((it) =>
      makeRule([verdict({ code: "jump", chain: policyChainName(it) })])
    );
    const chain = { name, rules };
    compiledGroups.set(first, chain);
    return chain;
  });
}

type Group = [DesiredPolicy, ...DesiredPolicy[]];

function groupsOf(policies: readonly DesiredPolicy[]): readonly Group[] {
  const groups: Group[] = [];
  let group: Group | undefined;
  for (const policy of policies) {
    if (group === undefined) groups.push(group = [policy]);
    else group.push(policy);
    const isEnd = group.length >= GROUP_MIN && endsGroup(policy);
    if (isEnd || group.length === GROUP_MAX) group = undefined;
  }
  return groups;
}

/** By the 32-bit FNV-1a hash of its id: https://www.rfc-editor.org/rfc/rfc9923. */
function endsGroup({ id }: DesiredPolicy): boolean {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % END_EVERY === 0;
}
