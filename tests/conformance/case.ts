/**
 * A conformance case as every run takes it, whatever format it came in: what is in the cluster at each
 * step, as a whole, and what must then become of which packet. How one step leads to the next is the
 * loader's business; a run finds the difference itself.
 */

import type { Family } from "../../lib/ip/address.ts";
import type { Labels } from "../../lib/model/labels.ts";
import type { Protocol } from "../../lib/model/workload.ts";
import type { JsonObject } from "./json.ts";

/** A port that a pod serves, under a name where it has one. */
export interface CasePort {
  readonly name: string | undefined;
  readonly protocol: Protocol;
  readonly port: number;
}

/** A pod and its one address; runs add the other family's (`mirror.ts`). */
export interface CasePod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly address: string;
  /** On its node's network: then its address is the node's. */
  readonly hostNetwork: boolean;
  /** With `hostNetwork`: its node is the one that all other pods are on; otherwise one of its own. */
  readonly isOnPodsNode?: boolean;
  readonly ports: readonly CasePort[];
}

/** All that is in the cluster; keys are `namespace/name`, or `name`. */
export interface Snapshot {
  readonly namespaces: ReadonlyMap<string, Labels>;
  readonly pods: ReadonlyMap<string, CasePod>;
  /** NetworkPolicies, as the API has them. */
  readonly policies: ReadonlyMap<string, JsonObject>;
  /** ClusterNetworkPolicies, as the API has them. */
  readonly clusterPolicies: ReadonlyMap<string, JsonObject>;
}

/** What must become of a packet: in the end, and where the case says so, on either side. */
export interface Expectation {
  readonly combined: boolean;
  readonly ingress?: boolean;
  readonly egress?: boolean;
}

/** One packet between two pods. */
export interface Cell {
  /** `namespace/name` of the pods. */
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Only this family; `undefined`: both alike. */
  readonly family: Family | undefined;
  readonly expected: Expectation;
  /** Why no verdict can be expected of it; the runner skips it and prints this. */
  readonly skip?: string;
}

/** What is there, and what must hold then. */
export interface CaseStep {
  readonly snapshot: Snapshot;
  readonly cells: readonly Cell[];
}

/** Steps that follow each other in one cluster. */
export interface ConformanceCase {
  /** Name of the format, or of the suite where the file says one. */
  readonly suite: string;
  readonly name: string;
  readonly steps: readonly CaseStep[];
}
