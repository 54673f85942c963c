/**
 * Facts of golden files: tests/golden/policy/`name`.yaml, objects as the API has them, decoded as the
 * agent does. The first document has `options`: those of the graph and of the compiler.
 */

import { parseYaml } from "../../../lib/base/yaml.ts";
import { compile, type CompileOptions } from "../../../lib/dataplane/compile/compile.ts";
import type { Ruleset } from "../../../lib/dataplane/ruleset.ts";
import { clusterNetworkPolicyKind } from "../../../lib/datastore/decode/cluster_network_policy.ts";
import { namespaceKind } from "../../../lib/datastore/decode/namespace.ts";
import { networkPolicyKind } from "../../../lib/datastore/decode/network_policy.ts";
import { nodeKind } from "../../../lib/datastore/decode/node.ts";
import { podKind } from "../../../lib/datastore/decode/pod.ts";
import { objectKey, type ObjectKind } from "../../../lib/datastore/kind.ts";
import type { FactKind, FactTypes } from "../../../lib/model/facts.ts";
import { PolicyGraph, type PolicyGraphOptions } from "../../../lib/policy/graph.ts";

const FOLDER = new URL("../../golden/policy/", import.meta.url);

/** The goldens that begin with facts. */
export const GOLDEN_FACTS: readonly string[] = ["network-policy", "cluster-policy", "closed"];

interface Document {
  readonly kind?: string;
  readonly options?: PolicyGraphOptions & CompileOptions;
}

type Take = (graph: PolicyGraph, object: unknown) => void;

function take<K extends FactKind>(kind: K, resource: ObjectKind<FactTypes[K]>): Take {
  return (graph, object) =>
    graph.update(kind, objectKey(object) ?? "", resource.decode(object).value);
}

const TAKE: Readonly<Record<string, Take>> = {
  Namespace: take("namespace", namespaceKind),
  Node: take("node", nodeKind),
  Pod: take("workload", podKind),
  NetworkPolicy: take("policy", networkPolicyKind),
  ClusterNetworkPolicy: take("clusterPolicy", clusterNetworkPolicyKind),
};

/** The ruleset that the facts of `name` make. */
export async function goldenRuleset(name: string): Promise<Ruleset> {
  const text = await Deno.readTextFile(new URL(`${name}.yaml`, FOLDER));
  const documents = text.split(/^---$/m).map((it) => parseYaml(it) as Document);
  const options = documents[0]?.options;
  if (options === undefined) throw new SyntaxError(`${name}.yaml begins without options`);
  const graph = new PolicyGraph(options);
  for (const document of documents.slice(1)) {
    const takeIt = TAKE[document.kind ?? ""];
    if (takeIt === undefined) throw new SyntaxError(`${name}.yaml: kind ${document.kind}`);
    takeIt(graph, document);
  }
  return compile(graph.flush(), options);
}
