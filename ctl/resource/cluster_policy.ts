/** `get clusternetworkpolicies`: the policies of the whole cluster, in the order in which they are asked. */

import { formatSelector } from "../../lib/model/labels.ts";
import { type ClusterNetworkPolicy, type Direction, DIRECTIONS } from "../../lib/model/policy.ts";
import { compareClusterPolicies } from "../../lib/policy/select.ts";
import { formatRule } from "../explain/rule.ts";
import { type Item, type View, withoutEmpty } from "./view.ts";

const TIERS = { admin: "Admin", baseline: "Baseline" } as const;
const ACTIONS = { accept: "Accept", deny: "Deny", pass: "Pass" } as const;
const SHORT = ["NAME", "TIER", "PRIORITY"];
const WIDE = [...SHORT, "SUBJECT", "INGRESS", "EGRESS"];

export const clusterPolicyView: View = {
  kind: "clusterNetworkPolicy",
  words: ["clusternetworkpolicies", "clusternetworkpolicy", "cnps", "cnp"],
  namespaced: false,
  onNodes: false,
  columns: { ps: SHORT, wide: WIDE, all: WIDE },
  list: async (reader) => {
    const policies = await reader.clusterPolicies();
    return (Object.keys(TIERS) as ClusterNetworkPolicy["tier"][]).flatMap((tier) =>
      policies.filter((it) => it.tier === tier).sort(compareClusterPolicies).map(itemOf)
    );
  },
};

function itemOf(policy: ClusterNetworkPolicy): Item {
  const { name } = policy;
  const tier = TIERS[policy.tier];
  const subject = subjectOf(policy);
  return {
    names: [name],
    labels: {},
    cells: {
      NAME: name,
      TIER: tier,
      // Before all others: its priority could not be read.
      PRIORITY: policy.priority < 0 ? "unknown" : String(policy.priority),
      SUBJECT: subject,
      INGRESS: countOf(policy, "ingress"),
      EGRESS: countOf(policy, "egress"),
    },
    resource: {
      apiVersion: "v1",
      kind: "clusterNetworkPolicy",
      metadata: { name },
      spec: {
        tier,
        ...(policy.priority < 0 ? {} : { priority: policy.priority }),
        subject,
        ...withoutEmpty(Object.fromEntries(DIRECTIONS.map((it) => [it, rulesOf(policy, it)]))),
      },
    },
  };
}

function subjectOf({ namespaceSelector, podSelector }: ClusterNetworkPolicy): string {
  const pods = podSelector.length === 0 ? "all pods" : `pods ${formatSelector(podSelector)}`;
  return namespaceSelector.length === 0
    ? pods
    : `${pods} of namespaces ${formatSelector(namespaceSelector)}`;
}

function countOf(policy: ClusterNetworkPolicy, direction: Direction): string {
  const { length } = policy[direction];
  return `${length} ${length === 1 ? "rule" : "rules"}`;
}

function rulesOf(policy: ClusterNetworkPolicy, direction: Direction): Record<string, unknown>[] {
  return policy[direction].map((rule) =>
    withoutEmpty({
      name: rule.name,
      action: ACTIONS[rule.action],
      match: formatRule(policy, direction, rule),
    })
  );
}
