/**
 * The evaluator: what becomes of a flow, and who decided. It asks the same questions of the same
 * functions (`select.ts`) as the kernel program's compiler, one flow at a time and with reasons.
 */

import type { Address } from "../ip/address.ts";
import { rangesContain } from "../ip/range.ts";
import type { Namespace } from "../model/namespace.ts";
import type { Node } from "../model/node.ts";
import type {
  Direction,
  NetworkPolicy,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
} from "../model/policy.ts";
import { keyOf, type Protocol, type Workload } from "../model/workload.ts";
import { governs, isGovernable, rulesOf, selectionOf, selects } from "./select.ts";
import { rangeSetOf } from "./set_spec.ts";

/** The facts of a cluster, all of them. */
export interface Cluster {
  readonly pods: readonly Workload[];
  readonly namespaces: readonly Namespace[];
  readonly policies: readonly NetworkPolicy[];
  readonly nodes: readonly Node[];
}

/** One end of a flow: its address, and the pod behind it where there is one. */
export interface FlowEnd {
  readonly address: Address;
  /** Not a pod on its host's network: that one is its node. */
  readonly workload: Workload | undefined;
}

/** The first packet of a flow, as policy sees it: after service translation, before source NAT. */
export interface Flow {
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  /** `undefined`: none of the three, ICMP for one; only rules without ports allow it. */
  readonly protocol: Protocol | undefined;
  readonly port: number | undefined;
}

/** Why a direction's verdict is what it is. */
export type Reason =
  /** The end is no pod, so nothing governs it. */
  | { readonly kind: "notAPod" }
  /** A pod always reaches and is reached by its own node. */
  | { readonly kind: "ownNode"; readonly node: string }
  /** No policy selects the pod in this direction. */
  | { readonly kind: "notSelected" }
  /** This rule allows it; `rule` and `peer` count from 0, `peer` is undefined for "every one". */
  | {
    readonly kind: "allowedBy";
    readonly policy: string;
    readonly rule: number;
    readonly peer: number | undefined;
  }
  /** These policies select the pod, and none of their rules allows it. */
  | { readonly kind: "notAllowed"; readonly policies: readonly string[] };

/** What one side says. */
export interface DirectionVerdict {
  readonly allowed: boolean;
  readonly reason: Reason;
}

/** What becomes of the flow: both sides must allow it. */
export interface Verdict {
  readonly allowed: boolean;
  readonly egress: DirectionVerdict;
  readonly ingress: DirectionVerdict;
}

/** Evaluates `flow` against the policies of `cluster`. */
export function evaluate(cluster: Cluster, flow: Flow): Verdict {
  const egress = evaluateDirection(cluster, flow, "egress");
  const ingress = evaluateDirection(cluster, flow, "ingress");
  return { allowed: egress.allowed && ingress.allowed, egress, ingress };
}

/**
 * The end of a flow at `address`: the pod that holds it now, if any. A finished pod's address may be
 * another's; a pod on the host's network is its node.
 */
export function resolveEnd(cluster: Cluster, address: Address): FlowEnd {
  const text = address.toString();
  const workload = cluster.pods.find((pod) =>
    isGovernable(pod) && pod.addresses.some((it) => it.toString() === text)
  );
  return { address, workload };
}

function evaluateDirection(cluster: Cluster, flow: Flow, direction: Direction): DirectionVerdict {
  const [own, other] = direction === "ingress"
    ? [flow.destination, flow.source]
    : [flow.source, flow.destination];
  const { workload } = own;
  if (workload === undefined || !isGovernable(workload)) {
    return { allowed: true, reason: { kind: "notAPod" } };
  }
  if (isOwnNode(cluster, workload, other)) {
    return { allowed: true, reason: { kind: "ownNode", node: workload.nodeName } };
  }
  const governing = cluster.policies
    .filter((policy) => governs(policy, workload, direction))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  if (governing.length === 0) return { allowed: true, reason: { kind: "notSelected" } };
  for (const policy of governing) {
    for (const [index, rule] of rulesOf(policy, direction).entries()) {
      if (!matchesPorts(rule, flow)) continue;
      const peer = findPeer(cluster, policy, rule, other);
      if (peer === undefined) continue;
      return {
        allowed: true,
        reason: {
          kind: "allowedBy",
          policy: keyOf(policy),
          rule: index,
          peer: peer === "every" ? undefined : peer,
        },
      };
    }
  }
  return { allowed: false, reason: { kind: "notAllowed", policies: governing.map(keyOf) } };
}

function isOwnNode(cluster: Cluster, workload: Workload, other: FlowEnd): boolean {
  if (other.workload !== undefined) return false;
  const node = cluster.nodes.find((it) => it.name === workload.nodeName);
  const text = other.address.toString();
  return node?.addresses.some((it) => it.toString() === text) ?? false;
}

/** The index of the first peer that matches, "every" for a rule without peers, `undefined` for none. */
function findPeer(
  cluster: Cluster,
  policy: NetworkPolicy,
  rule: PolicyRule,
  other: FlowEnd,
): number | "every" | undefined {
  if (rule.peers === undefined) return "every";
  const index = rule.peers.findIndex((peer) => matchesPeer(cluster, policy, peer, other));
  return index < 0 ? undefined : index;
}

function matchesPeer(
  cluster: Cluster,
  policy: NetworkPolicy,
  peer: PolicyPeer,
  other: FlowEnd,
): boolean {
  if (peer.kind === "addresses") {
    const { family, ranges } = rangeSetOf(peer);
    return other.address.family === family && rangesContain(ranges, other.address.value);
  }
  const { workload } = other;
  if (workload === undefined) return false;
  const namespace = cluster.namespaces.find((it) => it.name === workload.namespace);
  return selects(selectionOf(peer, policy.namespace), workload, namespace?.labels);
}

function matchesPorts(rule: PolicyRule, flow: Flow): boolean {
  return rule.ports === undefined || rule.ports.some((port) => matchesPort(port, flow));
}

function matchesPort(port: PolicyPort, flow: Flow): boolean {
  if (port.protocol !== flow.protocol) return false;
  if (port.port === undefined) return true;
  if (flow.port === undefined) return false;
  if (typeof port.port !== "string") {
    return flow.port >= port.port.first && flow.port <= port.port.last;
  }
  return flow.destination.workload?.ports.some((it) =>
    it.name === port.port && it.protocol === port.protocol && it.port === flow.port
  ) ?? false;
}
