/**
 * The way of what the API server says into the graph: large NetworkPolicies take turns (`large_policies.ts`),
 * this machine's Node is never lost again (`own_node.ts`), and a pod's uid says which attachments are its own
 * (`attached_pods.ts`).
 */

import type { Logger } from "../lib/base/log.ts";
import type { FactKind, FactTypes } from "../lib/model/facts.ts";
import type { Node } from "../lib/model/node.ts";
import type { NetworkPolicy } from "../lib/model/policy.ts";
import type { PolicyGraph } from "../lib/policy/graph.ts";
import type { AttachedPods } from "./attached_pods.ts";
import type { LargePolicies } from "./large_policies.ts";
import type { NodeRecord } from "./node_record.ts";
import type { OwnNode } from "./own_node.ts";

/** Where the intake sends facts. */
export interface FactIntakeOptions {
  readonly graph: PolicyGraph;
  readonly largePolicies: LargePolicies;
  readonly pods: AttachedPods;
  readonly ownNode: OwnNode;
  readonly nodeRecord: NodeRecord;
  readonly logger: Logger;
}

/** Takes the API server's objects one by one, and passes them on as facts. */
export class FactIntake {
  readonly #options: FactIntakeOptions;

  constructor(options: FactIntakeOptions) {
    this.#options = options;
  }

  /**
   * Takes an object that was added or changed, or (`undefined`) deleted.
   *
   * @returns whether there is something to do now
   */
  update<K extends FactKind>(kind: K, key: string, value: FactTypes[K] | undefined): boolean {
    const { graph, largePolicies, pods } = this.#options;
    if (kind === "node") return this.#takeNode(key, value as Node | undefined);
    const isChanged = kind === "policy"
      ? largePolicies.take(key, value as NetworkPolicy | undefined)
      : graph.update(kind, key, value);
    if (kind === "workload") pods.takeUid(key, graph.uidOf(key));
    return isChanged;
  }

  #takeNode(name: string, node: Node | undefined): boolean {
    const { graph, ownNode, nodeRecord, logger } = this.#options;
    const before = ownNode.details.join();
    const isChanged = graph.update("node", name, ownNode.complete(name, node));
    const [detail] = ownNode.details;
    if (detail !== undefined && detail !== before) logger.warn("own Node deleted", { detail });
    if (name === ownNode.name) nodeRecord.write();
    return isChanged;
  }
}
