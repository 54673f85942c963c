/** `get nodes`. There is no BGP here, so that no node has an AS number. */

import type { Node } from "../../lib/model/node.ts";
import { type Item, sortBy, type View, withoutEmpty } from "./view.ts";

const WIDE = ["NAME", "ASN", "IPV4", "IPV6"];

export const nodeView: View = {
  kind: "node",
  words: ["nodes", "node", "nos", "no"],
  namespaced: false,
  onNodes: true,
  columns: { ps: ["NAME"], wide: WIDE, all: [...WIDE, "PODCIDRS"] },
  scopesOf: (name) => [{ name }],
  list: async (reader, query) => sortBy(await reader.nodes(query), (it) => it.name).map(itemOf),
};

function itemOf(node: Node): Item {
  const ipv4Address = node.addresses.find((it) => it.family === 4)?.toString() ?? "";
  const ipv6Address = node.addresses.find((it) => it.family === 6)?.toString() ?? "";
  const podCidrs = node.podCidrs.map(String);
  return {
    names: [node.name],
    labels: node.labels,
    node: node.name,
    cells: {
      NAME: node.name,
      ASN: "",
      IPV4: ipv4Address,
      IPV6: ipv6Address,
      PODCIDRS: podCidrs.join(","),
    },
    resource: {
      apiVersion: "v1",
      kind: "node",
      metadata: withoutEmpty({ name: node.name, labels: node.labels }),
      spec: withoutEmpty({ bgp: withoutEmpty({ ipv4Address, ipv6Address }), podCIDRs: podCidrs }),
    },
  };
}
