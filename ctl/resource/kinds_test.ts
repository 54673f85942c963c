import { assertEquals, assertThrows } from "@std/assert";
import { CtlError } from "../error.ts";
import { viewOf } from "./kinds.ts";

const WORDS: readonly [string, readonly string[]][] = [
  ["workloadEndpoint", ["workloadendpoints", "workloadEndpoint", "WEPS", "wep"]],
  ["node", ["nodes", "Node", "nos", "no"]],
  ["profile", ["profiles", "profile", "pros", "pro"]],
  ["policy", ["policies", "policy", "pols", "pol", "networkpolicies", "networkPolicy", "np"]],
  ["clusterNetworkPolicy", ["clusternetworkpolicies", "ClusterNetworkPolicy", "cnps", "CNP"]],
  ["ipPool", ["ippools", "ipPool", "ipps", "ipp", "pools", "pool"]],
];
for (const [kind, words] of WORDS) {
  Deno.test(`viewOf() knows ${kind} by all its words`, () => {
    assertEquals(words.map((it) => viewOf(it).kind), words.map(() => kind));
  });
}

const KINDS = "kinds are workloadendpoints, nodes, profiles, policies, clusternetworkpolicies, " +
  "ippools";
const UNKNOWN: readonly [string, string][] = [
  [
    "workloadendpiont",
    `Unknown kind "workloadendpiont"; did you mean "workloadendpoint"? K${KINDS.slice(1)}`,
  ],
  ["frobs", `Unknown kind "frobs"; ${KINDS}`],
  ["Pods", `"Pods" is for kubectl: "kubectl get pods"; kinds here are ${KINDS.slice(10)}`],
  ["bgpPeer", `Calyx has no resources of kind bgpPeer; ${KINDS}`],
  ["hep", `Calyx has no resources of kind hostEndpoint; ${KINDS}`],
  ["", `Unknown kind ""; ${KINDS}`],
];
for (const [word, message] of UNKNOWN) {
  Deno.test(`viewOf() refuses "${word}"`, () => {
    assertEquals(assertThrows(() => viewOf(word), CtlError).message, message);
  });
}
