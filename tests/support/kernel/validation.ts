/**
 * What the kernel walks to validate a change: `nf_tables_validate()` (net/netfilter/nf_tables_api.c) goes
 * from each base chain along every jump, goto and element of a map, and kernels without a cache of
 * validated chains go there again by every way that leads there.
 */

import { Address } from "../../../lib/ip/address.ts";
import { compile } from "../../../lib/dataplane/compile/compile.ts";
import { makeRule, verdict } from "../../../lib/dataplane/compile/rule.ts";
import type { Chain, Rule, Ruleset } from "../../../lib/dataplane/ruleset.ts";
import type { Statement } from "../../../lib/dataplane/statement/statement.ts";
import type { Attachment } from "../../../lib/model/facts.ts";
import { interfaceNameOf } from "../../../lib/model/interface_name.ts";
import { PolicyGraph } from "../../../lib/policy/graph.ts";

const RULES = 4;

/** `pods` pods of one namespace, each selected by all of `policies` policies, four rules each way. */
export function crowdedNamespace(pods: number, policies: number): PolicyGraph {
  const graph = new PolicyGraph({ nodeName: "node1" });
  graph.update("namespace", "x", {
    ...{ name: "x", labels: {}, isIsolated: false, denyAction: undefined },
  });
  for (let pod = 0; pod < pods; pod++) {
    const addresses = [
      Address.parse(`10.1.${pod >> 8}.${pod & 255}`),
      Address.parse(`fd00::${pod}`),
    ];
    const name = `pod${pod}`;
    graph.update("workload", `x/${name}`, {
      ...{ namespace: "x", name, uid: name, nodeName: "node1", labels: { app: name } },
      ...{ serviceAccount: "default", addresses, hostNetwork: false, finished: false, ports: [] },
      resourceVersion: "1",
    });
    const interfaceName = interfaceNameOf("x", name);
    const attachment: Attachment = {
      ...{ containerId: name, ifname: "eth0", namespace: "x", pod: name, uid: name, interfaceName },
      addresses,
    };
    graph.update("attachment", `${name}/eth0`, attachment);
  }
  for (let policy = 0; policy < policies; policy++) addPolicy(graph, policy);
  return graph;
}

/** One policy more, or another version of one that is there. */
export function addPolicy(graph: PolicyGraph, policy: number, port = 1_000): void {
  const rules = Array.from({ length: RULES }, (_, rule) => ({
    peers: [{
      kind: "pods" as const,
      podSelector: [{ key: "app", operator: "In" as const, values: [`peer${rule}`] }],
      namespaceSelector: undefined,
    }],
    ports: [{
      protocol: "TCP" as const,
      port: { first: port + policy * RULES + rule, last: port + policy * RULES + rule },
    }],
  }));
  graph.update("policy", `x/policy${policy}`, {
    ...{ namespace: "x", name: `policy${policy}`, podSelector: [], ingress: rules, egress: rules },
    resourceVersion: "1",
  });
}

/**
 * The same rules in one base chain: what egress accepts goes to the chain that finds the receiver, so
 * that every egress rule leads to every pod's ingress.
 */
export function inOneBaseChain(ruleset: Ruleset): Ruleset {
  const toPod = makeRule([verdict({ code: "goto", chain: "to-pod" })]);
  const chains = new Map<string, Chain>();
  for (const chain of ruleset.chains.values()) {
    const isEgress = /egress/.test(chain.name) || chain.name === "passing";
    if (chain.name === "forward-ingress") {
      chains.set("to-pod", { name: "to-pod", rules: chain.rules });
    } else if (isEgress) {
      const rules = chain.rules.map((rule): Rule =>
        isAccept(rule.statements.at(-1))
          ? makeRule([...rule.statements.slice(0, -1), ...toPod.statements], rule.comment)
          : rule
      );
      chains.set(chain.name, { ...chain, rules });
    } else {
      chains.set(chain.name, chain);
    }
  }
  return { ...ruleset, chains };
}

/** How many rules validation looks at without a cache of chains that it has walked. */
export function countVisits({ chains, sets }: Ruleset): number {
  const counts = new Map<string, number>();
  const targetsOf = (statement: Statement): readonly string[] => {
    if (statement.kind === "verdict") {
      return "chain" in statement.verdict ? [statement.verdict.chain] : [];
    }
    if (!("map" in statement)) return [];
    const elements = sets.get(statement.map)?.elements;
    if (elements?.kind !== "names") return [];
    return [...elements.names.values()].map((it) => it.verdict)
      .filter((it) => it !== undefined && "chain" in it).map((it) => it.chain);
  };
  const visit = (name: string): number => {
    let count = counts.get(name);
    if (count === undefined) {
      const rules = chains.get(name)?.rules ?? [];
      count = rules.length + rules.flatMap((it) => it.statements).flatMap(targetsOf)
        .reduce((sum, target) => sum + visit(target), 0);
      counts.set(name, count);
    }
    return count;
  };
  return [...chains.values()].filter((it) => it.hook !== undefined)
    .reduce((sum, it) => sum + visit(it.name), 0);
}

/** What `crowdedNamespace()` compiles to. */
export function crowdedRuleset(pods: number, policies: number): Ruleset {
  return compile(crowdedNamespace(pods, policies).flush());
}

function isAccept(statement: Statement | undefined): boolean {
  return statement?.kind === "verdict" && statement.verdict.code === "accept";
}
