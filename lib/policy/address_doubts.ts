/**
 * Which addresses of a pod's status are to be doubted. A kubelet, or another client that may write a
 * pod's status, says with it for which addresses the pod's labels count; two things can be checked:
 *
 * - An address of the pod's own node is not believed to be the pod's. One of another node is not either,
 *   unless a pod CIDR of the pod's own node holds it: there the node may give it, and another node's
 *   status must not take it away.
 * - An address outside of every node's pod CIDRs is believed, and told: clusters in which an IPAM of its
 *   own gives addresses, or nodes have no pod CIDRs, must work.
 */

import type { Address } from "../ip/address.ts";
import { FAMILIES, type Family } from "../ip/address.ts";
import { type AddressRange, mergeRanges, rangesContain } from "../ip/range.ts";
import type { Node } from "../model/node.ts";
import { keyOf, type Workload } from "../model/workload.ts";
import { isPolicySubject } from "./select.ts";

/** Doubted addresses, as texts, by the key of the pod whose status has them. */
export interface AddressDoubts {
  /** Addresses of nodes: not believed. */
  readonly ofNodes: ReadonlyMap<string, readonly string[]>;
  /** Outside of every node's pod CIDRs, where nodes have some of that family: believed. */
  readonly outside: ReadonlyMap<string, readonly string[]>;
}

/** Whether an address in a pod's status counts as the pod's. */
export function isCredible(
  address: Address,
  ownNode: Node | undefined,
  isOfNode: (address: string) => boolean,
): boolean {
  if (!isOfNode(address.toString())) return true;
  if (ownNode === undefined) return false;
  const isOwn = ownNode.addresses.some((it) => it.toString() === address.toString());
  return !isOwn && ownNode.podCidrs.some((it) => it.contains(address));
}

/**
 * Looks at every address that policy would use.
 *
 * @param isProven whether something better than its status says that an address is the pod's
 */
export function addressDoubts(
  workloads: Iterable<Workload>,
  nodes: Iterable<Node>,
  isProven: (workload: Workload, address: Address) => boolean = () => false,
): AddressDoubts {
  const byName = new Map([...nodes].map((it) => [it.name, it]));
  const all = [...byName.values()];
  const ofNodes = new Set(all.flatMap((it) => it.addresses.map(String)));
  const podRanges = new Map(FAMILIES.map((it) => [it, podRangesOf(all, it)]));
  const isOutside = (address: Address): boolean => {
    const ranges = podRanges.get(address.family) ?? [];
    return ranges.length > 0 && !rangesContain(ranges, address.value);
  };
  const doubts = { ofNodes: new Map<string, string[]>(), outside: new Map<string, string[]>() };
  for (const workload of workloads) {
    if (!isPolicySubject(workload)) continue;
    for (const address of workload.addresses) {
      const isBelieved = isCredible(
        address,
        byName.get(workload.nodeName),
        (text) => ofNodes.has(text),
      );
      const found = !isBelieved ? doubts.ofNodes : isOutside(address) ? doubts.outside : undefined;
      if (found === undefined || isProven(workload, address)) continue;
      const key = keyOf(workload);
      found.set(key, [...found.get(key) ?? [], address.toString()]);
    }
  }
  return doubts;
}

function podRangesOf(nodes: readonly Node[], family: Family): readonly AddressRange[] {
  const prefixes = nodes.flatMap((it) => it.podCidrs).filter((it) => it.address.family === family);
  return mergeRanges(prefixes.map((it) => it.range));
}
