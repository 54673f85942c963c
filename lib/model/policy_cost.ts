/** How much work a policy is, by its text, not by the number of pods that it selects. */

import type { NetworkPolicy, PolicyPeer } from "./policy.ts";

/**
 * The rules of a policy, their ports, and their peers, of which a network counts with its exceptions
 * and anything else once.
 */
export function policyCost({ ingress = [], egress = [] }: NetworkPolicy): number {
  let cost = 0;
  for (const { peers = [], ports = [] } of [...ingress, ...egress]) {
    cost += 1 + ports.length;
    for (const peer of peers) cost += peerCost(peer);
  }
  return cost;
}

function peerCost(peer: PolicyPeer): number {
  return peer.kind === "addresses" ? 1 + peer.except.length : 1;
}
