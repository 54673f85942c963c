/** `get ippools`: the pod CIDRs of the nodes, which are what there is of pools. */

import type { Node } from "../../lib/model/node.ts";
import { type Item, sortBy, type View } from "./view.ts";

const WIDE = ["CIDR", "NAT", "IPIP"];

export const ipPoolView: View = {
  kind: "ipPool",
  words: ["ippools", "ippool", "ipps", "ipp", "pools", "pool"],
  namespaced: false,
  onNodes: true,
  columns: { ps: ["CIDR"], wide: WIDE, all: [...WIDE, "NODE"] },
  list: async (reader) => sortBy(await reader.nodes(), (it) => it.name).flatMap(itemsOf),
};

function itemsOf(node: Node): Item[] {
  return node.podCidrs.map(String).map((cidr) => ({
    names: [cidr],
    labels: node.labels,
    node: node.name,
    cells: { CIDR: cidr, NAT: "false", IPIP: "false", NODE: node.name },
    resource: {
      apiVersion: "v1",
      kind: "ipPool",
      metadata: { cidr },
      spec: { node: node.name },
    },
  }));
}
