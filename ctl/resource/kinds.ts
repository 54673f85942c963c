/** The kinds that `get` takes, and its answers to others. */

import { nearestWord } from "../../lib/base/nearest_word.ts";
import { CtlError } from "../error.ts";
import { clusterPolicyView } from "./cluster_policy.ts";
import { ipPoolView } from "./ip_pool.ts";
import { nodeView } from "./node.ts";
import { policyView } from "./policy.ts";
import { profileView } from "./profile.ts";
import type { View } from "./view.ts";
import { workloadEndpointView } from "./workload_endpoint.ts";

/** All views, the one that the tool is most used for first. */
export const VIEWS: readonly View[] = [
  workloadEndpointView,
  nodeView,
  profileView,
  policyView,
  clusterPolicyView,
  ipPoolView,
];

/** Kinds of Calico that Calyx does not have, by their words. */
const ABSENT: Readonly<Record<string, readonly string[]>> = {
  hostEndpoint: ["hostendpoints", "hostendpoint", "heps", "hep"],
  bgpPeer: ["bgppeers", "bgppeer", "bgpps", "bgpp", "bp", "bps"],
  globalNetworkPolicy: ["globalnetworkpolicies", "globalnetworkpolicy", "gnp", "gnps"],
  networkSet: ["networksets", "networkset", "netsets", "globalnetworksets", "globalnetworkset"],
  tier: ["tiers", "tier"],
  adminNetworkPolicy: ["adminnetworkpolicies", "adminnetworkpolicy", "anp", "anps"],
  baselineAdminNetworkPolicy: [
    "baselineadminnetworkpolicies",
    "baselineadminnetworkpolicy",
    "banp",
    "banps",
  ],
};

/** Words of kubectl that people try here. */
const KUBERNETES = new Set(
  "po pod pods svc service services ns namespace namespaces deploy deployment deployments ds ep"
    .split(" "),
);

/**
 * The view of the kind that `word` names, in any case.
 *
 * @throws {CtlError} naming the kinds that there are
 */
export function viewOf(word: string): View {
  const wanted = word.toLowerCase();
  const view = VIEWS.find((it) => it.words.includes(wanted));
  if (view !== undefined) return view;
  const valid = VIEWS.map((it) => it.words[0]).join(", ");
  if (KUBERNETES.has(wanted)) {
    throw new CtlError(
      `"${word}" is for kubectl: "kubectl get ${wanted}"; kinds here are ${valid}`,
    );
  }
  const absent = Object.entries(ABSENT).find(([, words]) => words.includes(wanted));
  if (absent !== undefined) {
    throw new CtlError(`Calyx has no resources of kind ${absent[0]}; kinds are ${valid}`);
  }
  const nearest = nearestWord(wanted, VIEWS.flatMap((it) => it.words));
  throw new CtlError(
    nearest === undefined
      ? `Unknown kind "${word}"; kinds are ${valid}`
      : `Unknown kind "${word}"; did you mean "${nearest}"? Kinds are ${valid}`,
  );
}
